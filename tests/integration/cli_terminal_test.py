#!/usr/bin/env python3
"""`rollcall` as a person sees it, on a terminal of its own: colours, width, what is shown again and again
(`top`, `agents --watch`) and how that is left; and the same elsewhere, for programs."""

import json
import os
import re
import subprocess
import termios
import unittest

from cluster import Cluster, PROGRAMS
from terminal import Terminal

AGENTS = list(range(1, 31))
LABELLED = 5  # it has more labels than fit a reply of wazuh-db
ROLLCALL = PROGRAMS["rollcall"]
COLOUR = re.compile("\x1b\\[[0-9]*m")
WITHOUT_JSON = {"completion bash": "it prints a script"}


def environment(**more):
    return {**{name: value for name, value in os.environ.items()
               if name not in ("NO_COLOR", "COLUMNS")}, **more}


class OnATerminal(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster().begin()
        self.addCleanup(self.cluster.close)
        agents = self.cluster.agents
        agents.enroll(AGENTS)
        for id in AGENTS:
            labels = {f"k{i}": "x" for i in range(2500)} if id == LABELLED else {"site": "lab"}
            agents.connect(id, "w1" if id % 2 else "w2", labels=labels)
        self.cluster.until_right()

    def address(self, name="master"):
        return f"127.0.0.1:{self.cluster.daemons[name].port('inspect')}"

    def command(self, *arguments):
        return [ROLLCALL, *arguments, "--master", self.address()]

    def piped(self, *arguments, **more):
        done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=True,
                              timeout=60, env=environment(**more))
        return done.stdout

    def terminal(self, *arguments, columns=80, lines=24, more=None):
        terminal = Terminal(arguments, columns, lines, {"NO_COLOR": "", **(more or {})})
        self.addCleanup(terminal.close)
        return terminal

    def shown(self, *arguments, **how):
        terminal = self.terminal(*arguments, **how)
        self.assertEqual(terminal.ended(), 0, terminal.shown)
        return terminal.shown

    def test_colours_are_for_terminals_that_want_them(self):
        nodes = self.command("nodes")
        on_terminal = self.shown(*nodes)
        self.assertIn("\x1b[32mvalid", on_terminal)
        for more in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
            self.assertNotIn("\x1b", self.shown(*nodes, more=more), more)
        piped = self.piped(*nodes)
        self.assertNotIn("\x1b", piped)
        heads = [COLOUR.sub("", text).splitlines()[0].split() for text in (on_terminal, piped)]
        self.assertEqual(heads[0], heads[1])

    def test_tables_are_as_wide_as_the_terminal_lets_them(self):
        agents = self.command("agents")
        narrow = COLOUR.sub("", self.shown(*agents, columns=40)).splitlines()
        self.assertEqual(max(map(len, narrow)), 40)
        wide = self.shown(*agents, columns=200)
        self.assertNotIn("~", wide)
        self.assertIn("agent-030", wide)
        self.assertLessEqual(max(map(len, self.piped(*agents, COLUMNS="50").splitlines())), 50)
        rows = self.piped(*agents).splitlines()
        self.assertEqual((rows[1][:3], rows[-1][:3]), (" 1 ", "30 "), "numbers are on the right")

    def test_errors_are_broken_between_words_on_a_terminal_and_one_line_elsewhere(self):
        refused = self.terminal(ROLLCALL, "status", "--master", "127.0.0.1:1", columns=60)
        self.assertEqual(refused.ended(), 4)
        self.assertIn("at 127.0.0.1:1: is\r\nrollcall-master running?", refused.shown)
        done = subprocess.run([ROLLCALL, "status", "--master", "127.0.0.1:1"], capture_output=True,
                              text=True, check=False, timeout=60)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_top_shows_the_cluster_follows_it_and_is_left_by_q(self):
        top = self.terminal(*self.command("top", "--every", "0.2"), columns=100, lines=20)
        top.until("both workers", lambda: [line.split()[:4] for line in top.screen()[6:9]] == [
            ["NODE", "LINK", "LEASE", "AGENTS"], ["w1", "up", "valid", "15"], ["w2", "up", "valid", "15"]])
        self.assertFalse(top.flags() & (termios.ECHO | termios.ICANON), "keys come one by one")
        self.assertIn("agents   30: 30 active", top.screen()[1])
        self.cluster.agents.move(1, "w2")
        top.until("the move", lambda: any(
            re.search(r"w2 +up +valid +16 ", line) for line in top.screen()))
        top.until("the feed", lambda: any(
            re.search(r"agent +1 +(connect|migrate) ", line) for line in top.screen()))
        self.cluster.kill("w2")
        top.until("a worker in trouble is above", lambda: top.screen()[7].startswith("w2    down"))
        top.resize(60, 12)
        top.until("it fits", lambda: len(top.screen()) <= 12 and max(map(len, top.screen())) <= 60
                  and any("w2    down" in line for line in top.screen()))
        top.press("xq")
        self.assertEqual(top.ended(), 0)
        self.assertTrue(top.shown.endswith("\x1b[?25h\x1b[?1049l"), top.shown[-60:])
        self.assertEqual(top.screen(), [""], "what was there before is there again")

    def test_top_goes_on_while_the_master_is_away_and_ends_as_it_began_when_interrupted(self):
        top = self.terminal(*self.command("top", "--every", "0.2"))
        top.until("a worker", lambda: any("w1    up" in line for line in top.screen()))
        before = top.flags()
        self.cluster.kill("master")
        top.until("it says so", lambda: "cannot reach the master" in top.screen()[1])
        self.assertTrue(any("w1    up" in line for line in top.screen()), "the last that it knew")
        self.assertEqual(top.flags(), before)
        top.press("\x03")
        self.assertEqual(top.ended(), 0)
        self.assertTrue(top.shown.endswith("\x1b[?1049l"))
        self.cluster.start("master")

    def test_top_elsewhere_is_printed_once_or_as_json(self):
        once = self.piped(*self.command("top", "--once")).splitlines()
        self.assertNotIn("q: quit", once[0])
        self.assertIn("w2", [line.split(" ")[0] for line in once])
        page = json.loads(self.piped(*self.command("top", "--once", "--json")))
        self.assertEqual((page["status"]["agents"], [n["node"] for n in page["nodes"]]),
                         (len(AGENTS), ["w1", "w2"]))
        sidecar = self.piped(ROLLCALL, "top", "--once", "--sidecar", self.address("w1"))
        self.assertRegex(sidecar, r"backlog +0 events")
        refused = subprocess.run([ROLLCALL, "top", "--master", "127.0.0.1:1"], capture_output=True,
                                 text=True, check=False, timeout=60)
        self.assertEqual((refused.returncode, refused.stdout), (4, ""))

    def test_agents_are_watched_until_q(self):
        watch = self.terminal(*self.command("agents", "--watch", "0.2", "--node", "w1"), lines=10)
        watch.until("as many as fit", lambda: len(watch.screen()) == 10)
        self.assertEqual([line.split()[:3] for line in watch.screen()[1:3]],
                         [["1", "active", "w1"], ["3", "active", "w1"]])
        self.assertIn("there are more", watch.screen()[9])
        self.cluster.agents.move(1, "w2")
        watch.until("it left", lambda: watch.screen()[1].split()[:1] == ["3"])
        watch.resize(80, 30)
        watch.until("all of them", lambda: len(watch.screen()) == 1 + 14 + 1)
        watch.press("q")
        self.assertEqual(watch.ended(), 0)
        self.assertEqual(watch.screen(), [""])

    def test_what_did_not_fit_is_named(self):
        self.assertRegex(self.piped(*self.command("agent", str(LABELLED))), r"\nunknown +labels\n")
        self.assertNotIn("unknown", self.piped(*self.command("agent", "6")))
        agent = self.cluster.table()[LABELLED]
        self.assertEqual((agent["unknown"], agent["info"]["labels"]), (["labels"], {}))

    def commands(self, *path):
        """All that can be run, as --help tells them."""
        told = self.piped(ROLLCALL, *path, "--help").partition("\nSubcommands:\n")[2]
        names = re.findall(r"^  (\S+)", told.split("\n\n")[0], re.MULTILINE)
        for name in names:
            yield from self.commands(*path, name)
        if not names:
            yield " ".join(path)

    def test_each_command_has_json_and_the_exit_statuses_are_told(self):
        commands = list(self.commands())
        for command in "status", "pki change-ca", "log repair", "support":
            self.assertIn(command, commands)
        for command in commands:
            has_it = "--json" in self.piped(ROLLCALL, *command.split(), "--help")
            self.assertEqual(has_it, command not in WITHOUT_JSON, command)
        told = self.piped(ROLLCALL, "--help")
        for status in range(6):
            self.assertRegex(told, rf"\n  {status}: \S")

    def test_bash_completes_commands_and_options(self):
        script = self.piped(ROLLCALL, "completion", "bash")

        def completed(*words):
            asked = "; ".join([script, f"COMP_WORDS=(rollcall {' '.join(words)})",
                               f"COMP_CWORD={len(words)}", "_rollcall", 'echo "${COMPREPLY[@]}"'])
            return self.piped("bash", "-c", asked.replace("; COMP_WORDS", "\nCOMP_WORDS")).split()
        self.assertEqual(completed("undr"), ["undrain"])
        self.assertEqual(set(completed("log", "re")), {"replay", "repair"})
        self.assertEqual(completed("agents", "--w"), ["--watch"])
        self.assertEqual(completed("agents", "--status", "u"), ["unreachable", "unknown"])
        self.assertIn("--master", completed("restart", "7", "--m"))


if __name__ == "__main__":
    unittest.main()
