#!/usr/bin/env python3
"""`rollcall` against real daemons: what it shows, what it changes with the token, how it fails; and the
master's log as it reads it, beside the running master and after kill -9."""

import json
import os
import stat
import subprocess
import time
import unittest

from cluster import Cluster, PROGRAMS, run_part

AGENTS = list(range(1, 9))
STORMY = list(range(1, 61))


class Cli(unittest.TestCase):
    STORE = {}
    AGENTS = AGENTS

    def setUp(self):
        self.cluster = Cluster(master_store=self.STORE)
        self.addCleanup(self.cluster.close)
        self.cluster.begin()
        self.cluster.agents.enroll(self.AGENTS)
        for id in self.AGENTS:
            self.cluster.agents.connect(id, "w1" if id % 2 else "w2")
        self.cluster.until_right()

    def run_cli(self, *arguments, status=0):
        done = subprocess.run([PROGRAMS["rollcall"], *map(str, arguments)], capture_output=True,
                              text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        if status == 0:
            self.assertEqual(done.stderr, "", arguments)
        self.assertLessEqual(max(map(len, done.stdout.splitlines()), default=0)
                             if "--json" not in arguments and arguments[:2] != ("log", "export")
                             else 0, 80, done.stdout)
        return done.stdout + done.stderr

    def address(self, name):
        return f"127.0.0.1:{self.cluster.daemons[name].port('inspect')}"

    def ask(self, command, *arguments, status=0):
        return self.run_cli(*command.split(), *arguments, "--master", self.address("master"),
                            status=status)

    def of_w1(self, command, *arguments, status=0):
        return self.run_cli(*command.split(), *arguments, "--sidecar", self.address("w1"),
                            status=status)

    def token(self, name):
        return self.cluster.stores[name] / "token"

    def log(self, command, *arguments, status=0):
        first, *rest = command.split()
        return self.run_cli("log", first, self.cluster.stores["master"], *rest, *arguments,
                            status=status)

    def verified(self, status=0):
        return json.loads(self.log("verify --json", status=status))


class Shows(Cli):
    def test_what_the_daemons_say(self):
        self.assertRegex(self.ask("status"), r"agents +8 known: 8 active, 0 migrating, 0 unreachable")
        self.assertIn("rollcalld", self.of_w1("status"))
        nodes = self.ask("nodes").splitlines()
        self.assertEqual([line.split()[:3] for line in nodes[1:]],
                         [["w1", "up", "valid"], ["w2", "up", "valid"]])
        rows = [line.split() for line in self.ask("agents").splitlines()]
        self.assertEqual([row[:3] for row in rows[1:]],
                         [[str(id), "active", "w1" if id % 2 else "w2"] for id in AGENTS])
        self.assertEqual(len(self.ask("agents --node w1 --status active").splitlines()), 5)
        self.assertEqual(len(self.ask("agents --limit 3").splitlines()), 4)
        self.assertEqual(len(self.of_w1("agents --session open").splitlines()), 5)
        self.assertIn("active on w1", self.ask("agent 1"))
        why = " ".join(self.ask("why 1").split())
        self.assertRegex(why, r'^Agent 1 is active on w1\. w1 said "opened", decided at .* by the '
                              r'rule "first": nothing was known')
        self.assertIn("Agent 1 as w1 sees it: wazuh-db's row says active", " ".join(
            self.of_w1("why 1").split()))

    def test_json_is_the_page_as_it_is(self):
        for command, path in (("agent 1", "/agents/1"), ("nodes", "/nodes"),
                              ("why 1", "/agents/1/why"), ("agents", "/agents?limit=1000")):
            shown = json.loads(self.ask(command, "--json"))
            page = self.cluster.http["master"].get(path)
            self.assertEqual(list(shown), list(page), command)
        self.assertEqual(json.loads(self.ask("status --json"))["agents"], len(AGENTS))

    def test_errors_say_what_and_how_to_mend_it(self):
        said = self.run_cli("status", "--master", "127.0.0.1:1", status=4)
        self.assertIn("cannot reach the master at 127.0.0.1:1: is rollcall-master running?", said)
        self.assertIn("--config", said)
        self.assertIn("404", self.ask("agent 99", status=1))
        self.assertIn("400", self.ask("agents --status here", status=1))
        self.run_cli("agent", "0", status=2)
        self.run_cli("agent", "x", status=2)
        self.run_cli("status", "--master", "nowhere:x", status=2)
        self.assertIn("lets the system choose a port", self.run_cli(
            "status", "--config", self.cluster.folder / "master.ini", status=2))
        self.assertIn("cannot be read", self.run_cli("status", "--config", "/missing", status=2))


class Changes(Cli):
    def test_only_with_the_token(self):
        for name in ("master", "w1"):
            self.assertEqual(stat.S_IMODE(os.stat(self.token(name)).st_mode), 0o600)
        self.assertIn("cannot read the token file /var/lib/rollcall/master/token",
                      self.ask("freeze --for 1m --token /var/lib/rollcall/master/token", status=1))
        wrong = self.cluster.folder / "wrong"
        wrong.write_text("0" * 64 + "\n")
        wrong.chmod(0o600)
        said = self.ask("freeze --for 1m", "--token", wrong, status=1)
        self.assertIn("403", said)
        self.assertIn(str(self.token("master")), said)
        wrong.chmod(0o640)
        self.assertIn("other users", self.ask("freeze --for 1m", "--token", wrong, status=1))
        self.assertEqual(self.cluster.status("master")["frozen"], [])

        self.ask("freeze --for 30m --node w1", "--token", self.token("master"))
        self.assertEqual([f["node"] for f in self.cluster.status("master")["frozen"]], ["w1"])
        self.assertRegex(self.ask("status"), r"frozen +w1 until ")
        # It is in the log, so that it outlives the master.
        self.cluster.kill("master")
        self.cluster.start("master")
        self.assertEqual([f["node"] for f in self.cluster.status("master")["frozen"]], ["w1"])
        self.cluster.until("the master can tell the time",
                           lambda: self.cluster.status("master")["ready"])
        self.ask("unfreeze --node w1", "--token", self.token("master"))
        self.assertEqual(self.cluster.status("master")["frozen"], [])
        self.assertIn("No lease waits", self.ask("confirm", "--token", self.token("master")))
        self.assertIn("409", self.ask("forget node w1", "--token", self.token("master"), status=1))
        self.assertIn("404", self.ask("forget node w9", "--token", self.token("master"), status=1))
        secret = self.token("master").read_text().strip()
        self.assertEqual([line for line in self.cluster.said_since("master") if secret in line], [])

    def test_a_worker_that_is_gone_is_forgotten(self):
        self.cluster.kill("w1")  # one that says goodbye is waited for
        self.cluster.until("its lease lapses", lambda: "lapsed" in self.ask("nodes"))
        self.assertIn("unreachable", self.ask("agent 1"))
        self.assertIn("lease lapsed", " ".join(self.ask("why 1").split()))
        self.ask("forget node w1", "--token", self.token("master"))
        agent = self.cluster.http["master"].get("/agents/1")
        self.assertEqual((agent["status"], agent["reason"]), ("disconnected", "node_forgotten"))
        self.assertNotIn("w1", self.ask("nodes"))
        self.assertTrue(self.verified()["whole"])

    def test_a_sidecar_sends_an_inventory_when_it_is_told_to(self):
        before = self.cluster.status("w1")["agreement"]["inventories"]
        self.of_w1("inventory", "--token", self.token("w1"))
        self.cluster.until("it is sent", lambda: self.cluster.status("w1")["agreement"][
            "inventories"] > before)

    def test_a_token_that_others_can_read_keeps_a_daemon_from_starting(self):
        for name in ("master", "w1"):
            self.cluster.kill(name)
            self.token(name).chmod(0o640)
            self.assertIn(f"the token file {self.token(name)} can be reached by other users",
                          self.cluster.refuses_to_start(name))
            self.token(name).unlink()
            self.cluster.start(name)
            self.assertEqual(stat.S_IMODE(os.stat(self.token(name)).st_mode), 0o600)


class LogCli(Cli):
    STORE = {"segment": "64KiB", "max_size": "2MiB"}  # a snapshot after each 512 KiB
    AGENTS = STORMY

    def move_until(self, enough):
        """Agents come and go, each time with new info, until the log is as it should be."""
        visit = 0
        while not enough():
            for id in self.AGENTS:
                visit += 1
                if self.cluster.agents.where[id]:
                    self.cluster.agents.goodbye(id)
                elif self.cluster.agents.ready(id):
                    self.cluster.agents.connect(id, "w1", os_uname=f"{visit} " + "x" * 4_000)
            self.cluster.check()
            time.sleep(0.02)  # not in the way of the daemons that write what is waited for

    def snapshots(self):
        return sorted(self.cluster.stores["master"].glob("snap-*.snap"))


class Log(LogCli):
    def test_is_whole_beside_the_master_and_after_kill_9(self):
        self.move_until(lambda: len(self.snapshots()) == 2)
        self.verified()  # a master may write meanwhile
        self.cluster.kill("master")
        verdict = self.verified()
        self.assertTrue(verdict["whole"])
        self.assertEqual([s["text"] for s in verdict["snapshots"]],
                         ["equals the fold of the records, byte for byte"] * 2)
        self.assertIn("It is whole.", self.log("verify"))

        records = [json.loads(line) for line in self.log("export").splitlines()]
        self.assertEqual([r["index"] for r in records],
                         list(range(1, verdict["next_record"])))
        mine = [json.loads(line) for line in self.log("export --agent 1").splitlines()]
        events = [e for r in mine if r["record"] == "decided" for e in r["events"]]
        self.assertEqual({e["agent"] for e in events}, {1})

        # The table of the moment before agent 1 was first heard of, and of the one after.
        first = mine[0]["index"]
        self.assertIn("no agent 1 was known",
                      self.log(f"replay --until-record {first - 1} --agent 1", status=1))
        then = json.loads(self.log(f"replay --until-record {first} --agent 1 --json"))
        self.assertEqual([a["status"] for a in then["agents"]], ["active"])
        by_time = json.loads(self.log(f"replay --until {mine[0]['at']} --agent 1 --json"))
        self.assertEqual(by_time["agents"], then["agents"])
        last = json.loads(self.log(f"replay --until-record {verdict['next_record']} --json"))
        self.cluster.start("master")
        self.assertEqual({a["id"] for a in last["agents"]}, set(self.cluster.table()))

    def test_damage_is_named_with_its_place_and_repaired_as_told(self):
        self.move_until(lambda: self.snapshots())
        self.cluster.stop("master")
        segment = sorted(self.cluster.stores["master"].glob("log-*.seg"))[0]
        whole = segment.read_bytes()
        spoilt = bytearray(whole)
        spoilt[len(whole) // 3] ^= 1
        segment.write_bytes(spoilt)
        verdict = self.verified(status=3)
        self.assertFalse(verdict["whole"])
        self.assertEqual(verdict["damage"]["file"], str(segment))
        self.assertGreaterEqual(len(whole) // 3, verdict["damage"]["offset"])
        said = self.cluster.refuses_to_start("master")
        command = f"rollcall log repair {self.cluster.stores['master']} --drop-tail"
        self.assertIn(command, said)
        self.assertIn(command, " ".join(self.log("repair", status=3).split()))
        self.assertEqual(segment.read_bytes(), spoilt)
        self.log("repair --drop-tail")
        self.assertTrue(self.verified()["whole"])
        self.cluster.start("master")
        self.cluster.until_right()

    def test_a_snapshot_that_says_something_else_is_noticed(self):
        self.move_until(lambda: len(self.snapshots()) == 2)
        self.cluster.stop("master")
        older, newer = self.snapshots()
        header, body = newer.read_bytes()[:64], older.read_bytes()[64:]
        newer.write_bytes(header + body)  # its checksums are right
        verdict = self.verified(status=3)
        self.assertEqual([s["good"] for s in verdict["snapshots"]], [True, False])
        self.assertIn("NOT the fold", verdict["snapshots"][1]["text"])

    def test_bad_input_is_refused(self):
        self.assertIn("holds no log", self.run_cli("log", "verify", self.cluster.pki, status=1))
        self.run_cli("log", "verify", "/missing", status=1)
        self.log("replay", status=2)
        self.assertIn("2026-11-23T02:40:10.123Z", self.log("replay --until yesterday", status=2))
        self.assertIn("number of a record", self.log("export --from x", status=2))
        self.run_cli("log", "verify", status=2)


class Retention(LogCli):
    STORE = {"segment": "64KiB", "max_size": "2MiB"}

    def test_grows_no_larger_than_it_may_and_stays_whole(self):
        store = self.cluster.stores["master"]
        self.move_until(lambda: any("an old part of the log was removed" in line
                                    for line in self.cluster.said_since("master")))
        self.cluster.kill("master")
        verdict = self.verified()
        self.assertTrue(verdict["whole"])
        self.assertGreater(verdict["first_record"], 1)
        self.assertEqual([s["text"] for s in verdict["snapshots"]],
                         ["is what the log begins with",
                          "equals the fold of the records, byte for byte"])
        # What came since the last snapshot, which brings the next removal, comes on top.
        kept = [f for f in store.iterdir() if f.suffix in (".seg", ".snap")]
        self.assertLessEqual(sum(f.stat().st_size for f in kept), (2 << 20) + (512 << 10))
        said = self.log("replay --until-record 1", status=1)
        self.assertRegex(said, r"is not kept \(\[store\] retention, max_size\)")
        self.cluster.start("master")
        self.cluster.until_right()


del Cli, LogCli  # only what is built on it is run
if __name__ == "__main__":
    run_part()
