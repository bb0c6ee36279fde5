#!/usr/bin/env python3
"""A worker that is drained, and one that is stopped for a while, with real daemons: their agents go, or
stay, without one disconnect in the feed."""

import http.client
import re
import subprocess
import unittest

from cluster import PROGRAMS, Cluster
from remoted import Remoted
from terminal import Terminal

AGENTS = list(range(1, 9))
STAYS = 8  # whatever it is asked


class Drained(Cluster):
    MORE_OF_SIDECARS = {"handoff": {"grace": "90s"}}


class Drain(unittest.TestCase):
    def setUp(self):
        self.cluster = Drained()
        self.addCleanup(self.cluster.close)
        self.remoted = Remoted(self.cluster.homes["w1"])
        self.addCleanup(self.remoted.close)
        self.cluster.begin()
        self.agents = self.cluster.agents
        self.cluster.until_all_are_on("w1", AGENTS)

    def command(self, *arguments, of="w1"):
        daemon = "--master" if of == "master" else "--sidecar"
        return [PROGRAMS["rollcall"], *map(str, arguments), daemon,
                f"127.0.0.1:{self.cluster.daemons[of].port('inspect')}"]

    def rollcall(self, *arguments, of="w1", status=0):
        done = subprocess.run(self.command(*arguments, of=of), capture_output=True, text=True,
                              check=False, timeout=60)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def token(self):
        return "--token", self.cluster.stores["w1"] / "token"

    def kinds(self):
        page = self.cluster.http["master"].get("/events?after=0&limit=1000")
        return [event["event"] for event in page["events"]]

    def asked(self):
        """Agents that were asked to connect anew."""
        return {int(found[1]) for text in list(self.remoted.texts)
                if (found := re.fullmatch(r"\(msg_to_agent\) \[\] N!S (\d+) force_reconnect", text))}

    def test_a_drained_worker_loses_its_agents_and_nobody_sees_a_disconnect(self):
        with subprocess.Popen(self.command("drain", "--move", 50, *self.token()),
                              stdout=subprocess.PIPE, text=True) as drain:
            self.addCleanup(drain.kill)
            self.cluster.until("all agents are asked to go", lambda: self.asked() == set(AGENTS))
            with subprocess.Popen(self.command("drain", "--status"), stdout=subprocess.PIPE,
                                  text=True) as again:
                self.assertRegex(again.stdout.readline(),
                                 r"0 of 8 are gone, 8 left: (\d+ (not offered yet|offered|stayed)"
                                 r"(, )?)+\n")
                again.terminate()
            self.assertRegex(self.rollcall("balance", of="master"),
                             r"w1 +valid +8 .* give 8 to each of 1, in 1 s")
            for id in AGENTS[:-1]:
                self.agents.move(id, "w2")
            self.cluster.until("they are on w2", lambda: all(
                self.cluster.answers()[id] == ("active", "w2") for id in AGENTS[:-1]))
            self.cluster.until("the one that stays is seen to", lambda: (
                self.cluster.answers()[STAYS] == ("active", "w1")))
            self.agents.move(STAYS, "w2")
            said, _ = drain.communicate(timeout=60)
        self.assertEqual(drain.returncode, 0, said)
        self.assertRegex(said, r"8 of 8 are gone \(w2 8\)\nThis worker has no agents any more\.")
        self.cluster.until_right()
        self.assertNotIn("disconnect", self.kinds())
        self.assertEqual(self.kinds().count("migrate"), len(AGENTS))
        found = self.cluster.http["master"].get("/migrations")["migrations"]
        self.assertIn(STAYS, [m["agent"] for m in found if not m["to"]], "its first offer")
        moves = [m for m in found if m["to"]]
        self.assertEqual(sorted(m["agent"] for m in moves), AGENTS)
        for m in moves:
            self.assertEqual((m["from"]["node"], m["to"]["node"]), ("w1", "w2"))
            self.assertIsNotNone(m["offered"])
        self.assertRegex(self.rollcall("migrations", 3, of="master"), r"3 +w1 +w2 ")
        self.assertIn("takes agents again", self.rollcall("undrain", *self.token()))
        self.assertIn("is not drained", self.rollcall("undrain", *self.token(), status=1))

    def test_on_a_terminal_the_bar_is_written_over(self):
        drain = Terminal(self.command("drain", *self.token()))
        self.addCleanup(drain.close)
        drain.until("all are offered", lambda: "8 left: 8 offered" in " ".join(drain.screen()))
        for id in AGENTS:
            self.agents.move(id, "w2")
        self.assertEqual(drain.ended(), 0)
        screen = drain.screen()
        bars = [line for line in screen if line.startswith("[")]
        self.assertEqual(len(bars), 1, screen)
        self.assertRegex(bars[0], r"^\[#{30}\]  8 of 8 are gone \(w2 8\)$")
        self.assertEqual(screen[screen.index(bars[0]) + 1], "This worker has no agents any more.")
        self.assertGreater(drain.shown.count("["), 1, "it was there before")

    def test_whom_nobody_could_ask_does_not_count_as_asked(self):
        self.remoted.close()
        with subprocess.Popen(self.command("drain", "--move", 50, *self.token()),
                              stdout=subprocess.PIPE, text=True) as drain:
            self.addCleanup(drain.kill)
            page = self.cluster.until("all messages came back", lambda: self.if_failed(AGENTS))
            self.assertEqual((page["asked_to_move"], page["drain"]["asked"]), (0, 0))
            self.assertIn("queue/alerts/ar", page["drain"]["asked_error"])
            for line in drain.stdout:
                if "8 could not be asked to go: " in line:
                    break
            drain.terminate()
        self.assertRegex(line, r"0 of 8 are gone, 8 left: .*; 8 could not be asked to go: \S+")

    def if_failed(self, agents):
        page = self.cluster.http["w1"].get("/handoffs")
        return page if page["asked_failed"] == len(agents) else None

    def test_a_sidecar_says_why_it_stops(self):
        for drained in False, True:
            if drained:
                self.rollcall("drain", "--no-wait", *self.token())
            self.cluster.stop("w1")
            away = self.cluster.until("the master knows", lambda: self.node("w1")["away"])
            self.assertEqual(away["reason"], "drain" if drained else "shutdown")
            self.cluster.start("w1")
            self.cluster.until("it is back", lambda: self.node("w1")["away"] is None)
        self.rollcall("undrain", *self.token())
        self.cluster.stop("w1")
        away = self.cluster.until("the master knows", lambda: self.node("w1")["away"])
        self.assertEqual(away["reason"], "shutdown", "the drain was taken back")

    def node(self, name):
        return next(node for node in self.cluster.http["master"].get("/nodes")["nodes"]
                    if node["node"] == name)

    def posted(self, path, token=None):
        """The status of a POST to w1's sidecar."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.cluster.daemons["w1"].port("inspect"), timeout=10)
        self.addCleanup(connection.close)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("POST", path, headers=headers)
        return connection.getresponse().status

    def test_who_drains_shows_the_token_and_says_how(self):
        token = (self.cluster.stores["w1"] / "token").read_text().strip()
        for path in "/drain", "/undrain":
            self.assertEqual(self.posted(path), 401)
            self.assertEqual(self.posted(path, "0" * 64), 403)
        for wrong in "?move=0", "?grace=1ms", "?grace=2d", "?color=red":
            self.assertEqual(self.posted("/drain" + wrong, token), 400, wrong)
        self.assertEqual(self.posted("/undrain", token), 409)
        self.assertIsNone(self.cluster.http["w1"].get("/handoffs")["drain"])
        self.assertEqual(self.posted("/drain?grace=60s&move=5", token), 200)
        drain = self.cluster.http["w1"].get("/handoffs")["drain"]
        self.assertEqual((drain["grace_us"], drain["move_per_s"]), (60_000_000, 5))
        self.assertEqual(self.posted("/undrain", token), 200)

    def test_a_drain_is_an_operators_and_outlives_the_sidecar(self):
        self.assertIn("token", self.rollcall("drain", "--token", "/dev/null", status=1))
        self.assertIn("1s to 24h", self.rollcall("drain", "--grace", "1ms", *self.token(), status=1))
        self.assertIn("is not drained", self.rollcall("drain", "--status", status=1))
        self.rollcall("drain", "--no-wait", *self.token())
        self.cluster.kill("w1")
        self.cluster.start("w1")
        self.cluster.until("it is drained as before", lambda: (
            self.cluster.http["w1"].get("/handoffs")["drain"] or {}).get("grace_us") == 90_000_000)

    def test_agents_of_a_sidecar_that_stops_for_a_while_stay_as_they_are(self):
        self.cluster.stop("w1")
        self.cluster.until("the master knows", lambda: any(
            "stops on purpose" in line for line in self.cluster.said_since("master")))
        self.cluster.until("it is noticed that it is gone", lambda: not self.node("w1")["connected"])
        self.assertEqual({self.cluster.answers()[id] for id in AGENTS}, {("active", "w1")})
        self.cluster.start("w1")
        self.cluster.until_right()
        self.assertNotIn("disconnect", self.kinds())
        self.assertNotIn("unreachable", self.kinds())


if __name__ == "__main__":
    unittest.main(verbosity=2)
