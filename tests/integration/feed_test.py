#!/usr/bin/env python3
"""The event feed of real daemons: the reader that docs/operations.md shows, before and after the master
is killed; a stream that goes on where it was cut; more readers than there is room for."""

import http.client
import json
import re
import subprocess
import sys
import unittest

from cluster import ROOT, Cluster

AGENTS = [1, 2, 3]


def reader_of_the_manual():
    """The program in docs/operations.md."""
    text = (ROOT / "docs" / "operations.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) == 1, "docs/operations.md has one program"
    return blocks[0]


class Stream:
    """Server-sent events of the master."""

    def __init__(self, cluster, path, last=None):
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", cluster.daemons["master"].port("inspect"), timeout=60)
        headers = {"Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def next(self):
        """(event, id, data), comments left out."""
        fields = {}
        while True:
            line = self.answer.readline().decode()
            if not line:
                raise EOFError
            name, _, value = line.rstrip("\n").partition(":")
            if line == "\n" and "event" in fields:
                return fields["event"], fields.get("id"), json.loads(fields["data"])
            fields[name] = value.strip()

    def close(self):
        self.connection.close()


class EventFeed(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(workers=("w1", "w2")).begin()
        self.addCleanup(self.cluster.close)
        self.agents = self.cluster.agents
        self.agents.enroll(AGENTS)

    def events(self, query):
        return self.cluster.http["master"].get("/events?" + query)

    def fix_port(self):
        """The master's HTTP side keeps its port when it is started again."""
        port = self.cluster.daemons["master"].port("inspect")
        ini = self.cluster.folder / "master.ini"
        ini.write_text(ini.read_text().replace("[inspect]\naddress = 127.0.0.1:0",
                                               f"[inspect]\naddress = 127.0.0.1:{port}"))

    def test_the_reader_of_the_manual_is_told_once_whoever_is_restarted(self):
        self.fix_port()
        program = self.cluster.folder / "follow.py"
        program.write_text(reader_of_the_manual())
        place, said = self.cluster.folder / "place", self.cluster.folder / "said"

        def follow():
            with said.open("a") as out:
                process = subprocess.Popen(
                    [sys.executable, program, self.cluster.http["master"].url, place], stdout=out,
                    stderr=subprocess.STDOUT)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            return process

        def heard(*lines):
            def all_there():
                text = said.read_text().splitlines()
                return text == ["begin behind 0", *lines]
            try:
                self.cluster.until("the reader is told", all_there)
            except Exception as error:
                raise AssertionError(f"{said.read_text()}\n{self.events('after=0')}") from error

        reader = follow()
        self.cluster.until("it has begun", lambda: place.exists())
        self.agents.connect(1, "w1")
        connected = "agent 1 connect w1 None"
        heard(connected)
        self.agents.goodbye(1)
        left = "agent 1 disconnect w1 shutdown"
        heard(connected, left)
        self.cluster.kill("master")
        self.cluster.start("master")
        self.agents.connect(1, "w2")
        again = "agent 1 connect w2 None"
        heard(connected, left, again)
        self.cluster.until("it keeps its place", lambda: json.loads(place.read_text())["after"] == 3)
        reader.kill()
        reader.wait()
        self.agents.connect(2, "w1")
        self.cluster.until("the feed has it", lambda: self.events("after=newest")["last"] == 4)
        follow()
        heard(connected, left, again, "agent 2 connect w1 None")

    def test_a_stream_goes_on_where_it_was_cut(self):
        stream = Stream(self.cluster, "/events?after=newest")
        self.assertEqual(stream.next()[0], "feed")
        self.agents.connect(1, "w1")
        event, seq, entry = stream.next()
        self.assertEqual((event, seq, entry["to"]["node"]), ("connect", "1", "w1"))
        self.cluster.kill("master")
        with self.assertRaises((EOFError, OSError)):
            while True:
                stream.next()
        self.cluster.start("master")
        self.agents.vanish(1)
        self.agents.connect(1, "w2")
        again = Stream(self.cluster, "/events", last=1)
        self.assertEqual(again.next()[0], "feed")
        event, seq, entry = again.next()
        self.assertEqual((event, seq, entry["agent_seq"]), ("migrate", "2", 2))
        self.assertEqual((entry["from"]["node"], entry["to"]["node"]), ("w1", "w2"))
        stream.close()
        again.close()

    def test_a_worker_that_falls_silent_makes_its_agents_unreachable(self):
        self.agents.connect(1, "w1")
        self.cluster.until_right()
        self.cluster.kill("w1")
        page = self.events("after=1&wait=30s")
        self.assertEqual([(e["event"], e["lease_cause"]) for e in page["events"]],
                         [("unreachable", "silent")])
        self.cluster.start("w1")
        page = self.events("after=2&wait=30s")
        self.assertEqual([e["event"] for e in page["events"]], ["reachable"])

    def test_readers_above_the_bound_are_refused_and_nobody_else(self):
        self.agents.connect(1, "w1")
        readers = [Stream(self.cluster, "/events?stream=1") for _ in range(40)]
        self.assertEqual(sorted(r.status for r in readers), [200] * 32 + [503] * 8)
        self.assertEqual(self.cluster.http["master"].get("/healthz"), {"status": "ok"})
        for reader in readers:
            if reader.status == 200:
                self.assertEqual(reader.next()[0], "feed")
                self.assertEqual(reader.next()[0], "connect")
            reader.close()

    def test_an_agent_that_two_workers_claim_in_turn_is_contested(self):
        self.agents.connect(2, "w1")
        for turn in range(5):
            worker = f"w{1 + turn % 2}"
            self.agents.connect(1, worker, agent_ip=f"10.{1 + turn % 2}.1.1")
            self.cluster.until(f"agent 1 is on {worker}", lambda worker=worker: (
                self.cluster.answers().get(1) == ("active", worker)))
        entry = self.cluster.until("the feed tells of it", lambda: next((
            e for e in self.events("after=0&limit=1000")["events"] if e["event"] == "contested"), None))
        self.assertEqual((entry["agent"], {entry["from"]["node"], entry["to"]["node"]}),
                         (1, {"w1", "w2"}))
        page = self.cluster.http["master"].get("/contested")
        self.assertEqual([(a["agent"], a["contested"]) for a in page["agents"]], [(1, True)])
        self.assertGreaterEqual(len(page["agents"][0]["moves"]), 4)
        workers = {w["node"]: w for w in page["agents"][0]["workers"]}
        self.assertEqual([node for node, w in workers.items() if w["on_top"]], ["w1"])
        self.assertTrue(self.cluster.http["master"].get("/agents/1")["contested"])
        self.assertFalse(self.cluster.http["master"].get("/agents/2")["contested"])
        shown = subprocess.run([self.cluster.programs["rollcall"], "contested", "--master",
                                self.cluster.http["master"].url], capture_output=True, text=True,
                               check=True, timeout=60).stdout.splitlines()
        rows = [line.split() for line in shown[1:-1]]
        self.assertEqual([row[:2] for row in rows], [["1", "yes"]] * 2)
        self.assertEqual({row[-1] for row in rows}, {"10.1.1.1", "10.2.1.1"}, shown)
        self.assertIn("* the agent's newest session is there", shown[-1])
        self.cluster.until_right()

    def test_the_tool_shows_them(self):
        self.agents.connect(1, "w1")
        self.cluster.until("the feed has it", lambda: self.events("after=newest")["last"] == 1)
        url = self.cluster.http["master"].url

        def rollcall(*arguments):
            return subprocess.run([self.cluster.programs["rollcall"], *arguments, "--master", url],
                                  capture_output=True, text=True, check=False, timeout=60)

        self.assertRegex(rollcall("events").stdout,
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +1  agent +1  connect +w1\n$")
        self.assertEqual(json.loads(rollcall("events", "--json").stdout)["event"], "connect")
        self.assertEqual(rollcall("events", "--after", "1").stdout, "")
        gone = rollcall("events", "--after", "2")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("read /agents anew", gone.stderr)
        self.assertEqual(rollcall("contested").stdout, "AGENT  CONTESTED  FLAPPING  WORKER  ADDRESS"
                                                       "  CONTACT  AGENT IP\n")
        follow = subprocess.Popen([self.cluster.programs["rollcall"], "events", "--follow",
                                   "--master", url], stdout=subprocess.PIPE, text=True)
        self.addCleanup(follow.stdout.close)
        self.addCleanup(follow.wait)
        self.addCleanup(follow.kill)
        self.assertRegex(follow.stdout.readline(), r"connect +w1$")
        self.agents.goodbye(1)
        self.assertRegex(follow.stdout.readline(), r"disconnect +w1 \(shutdown\)$")


if __name__ == "__main__":
    unittest.main()
