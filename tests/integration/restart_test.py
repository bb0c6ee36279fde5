#!/usr/bin/env python3
"""Restarting agents from the master, with real daemons: whatever happens between looking an agent up
and telling it, the datagram comes to the worker that has it, in the agent's own words, and once.
"""

import collections
import http.client
import json
import os
import random
import subprocess
import threading
import unittest
import urllib.parse

from cluster import Cluster, PROGRAMS
from remoted import Remoted

NEW, OLD = range(1, 5), range(5, 7)  # agents since 4.2, and older ones


def restart_text(id, new=True):
    words = ('{"version": 1, "origin": {"module": "framework"}, "command": "restart-wazuh0", '
             '"parameters": {"extra_args": [], "alert": {}}}' if new else "restart-ossec0")
    return f"(msg_to_agent) [] NNS {id:03} {words} - null (from_the_server) (no_rule_id)"


class Restart(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.remoted = {}
        for worker in self.cluster.workers:
            self.begin_remoted(worker)
        self.cluster.begin()
        agents = self.cluster.agents
        agents.enroll([*NEW, *OLD, 7, 8])
        for id in NEW:
            agents.connect(id, "w1" if id % 2 else "w2")
        for id in OLD:
            agents.connect(id, "w1", version="Wazuh v4.1.5")
        agents.connect(7, "w2", version="")
        self.cluster.until_right()

    def begin_remoted(self, worker):
        self.remoted[worker] = Remoted(self.cluster.homes[worker])
        self.addCleanup(self.end_remoted, worker)

    def end_remoted(self, worker):
        if remoted := self.remoted.pop(worker, None):
            remoted.close()

    def put(self, query, seconds=70):
        """(status, answer)"""
        daemon = self.cluster.daemons["master"]
        token = (self.cluster.stores["master"] / "token").read_text().strip()
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port("inspect"),
                                                timeout=seconds)
        try:
            connection.request("PUT", f"/agents/restart?{query}",
                               headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def put_beside(self, query):
        """The same while the test goes on; returns what waits for its end."""
        found = []
        thread = threading.Thread(target=lambda: found.append(self.put(query)), daemon=True)
        thread.start()

        def ended():
            thread.join(80)
            self.assertTrue(found, "the call did not end")
            return found[0]
        return ended

    def cli(self, *arguments, status=0):
        done = subprocess.run(
            [PROGRAMS["rollcall"], "restart", *map(str, arguments), "--master",
             f"127.0.0.1:{self.cluster.daemons['master'].port('inspect')}", "--token",
             self.cluster.stores["master"] / "token"],
            capture_output=True, text=True, check=False, timeout=90)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done.stdout

    def texts(self, worker):
        return sorted(self.remoted[worker].texts)

    def until_told(self, worker, expected):
        self.cluster.until(f"{worker}'s Wazuh has {expected}",
                           lambda: self.texts(worker) == sorted(expected))

    @staticmethod
    def reasons(answer):
        return {one["id"]: one["reason"] for one in answer["failed"]}

    def test_each_agent_is_told_by_its_worker_in_its_own_words(self):
        status, answer = self.put("agents_list=001,002,3,004,5,6")
        self.assertEqual((status, answer["affected"], answer["failed"]), (200, [1, 2, 3, 4, 5, 6], []))
        self.until_told("w1", [restart_text(1), restart_text(3), restart_text(5, new=False),
                               restart_text(6, new=False)])
        self.until_told("w2", [restart_text(2), restart_text(4)])

    def test_each_that_cannot_be_told_has_its_own_answer(self):
        self.cluster.agents.goodbye(4)
        self.cluster.until_right()
        status, answer = self.put("agents_list=1,4,7,99")
        self.assertEqual((status, answer["affected"]), (207, [1]))
        self.assertEqual(self.reasons(answer),
                         {4: "disconnected", 7: "unknown_version", 99: "unknown"})
        self.until_told("w1", [restart_text(1)])
        self.assertEqual(self.put("agents_list=7&assume=v4.0.0")[0], 200)
        self.until_told("w2", [restart_text(7, new=False)])

    def test_by_the_command_line_tool(self):
        self.assertIn("2 told to restart, 0 not", self.cli(1, "002"))
        partly = self.cli("--all", "--json", status=5)
        self.assertEqual(self.reasons(json.loads(partly)), {7: "unknown_version"})
        self.assertIn("7 unknown_version: which version", self.cli(7, status=1))
        self.cli(status=2)
        self.cli("--all", 7, status=2)
        self.cli(1, "--timeout", "2h", status=1)

    def test_a_worker_without_remoted_says_so_and_fails_no_other(self):
        self.end_remoted("w1")
        status, answer = self.put("agents_list=1,2")
        self.assertEqual((status, answer["affected"], self.reasons(answer)), (207, [2], {1: "socket"}))
        self.assertIn("nobody reads there", answer["failed"][0]["text"])
        self.begin_remoted("w1")
        self.assertEqual(self.put("agents_list=1")[0], 200)
        self.until_told("w1", [restart_text(1)])

    def test_an_agent_between_two_workers_is_told_by_the_next(self):
        self.cluster.agents.vanish(1)
        self.cluster.relays["w1"].block(True)
        self.cluster.relays["w1"].cut()
        self.cluster.until("w1's link is lost", lambda: not self.connected("w1"))
        ended = self.put_beside("agents_list=1&timeout=60s")
        self.cluster.agents.connect(1, "w2")
        status, answer = ended()
        self.assertEqual((status, answer["affected"]), (200, [1]))
        self.until_told("w2", [restart_text(1)])
        self.assertEqual(self.texts("w1"), [])

    def connected(self, worker):
        nodes = self.cluster.http["master"].get("/nodes")["nodes"]
        return next(node["connected"] for node in nodes if node["node"] == worker)

    def test_a_worker_that_stays_away_leaves_its_agents_untold(self):
        self.cluster.relays["w1"].block(True)
        self.cluster.relays["w1"].cut()
        self.cluster.until("w1's link is lost", lambda: not self.connected("w1"))
        status, answer = self.put("agents_list=1,2&timeout=1s")
        self.assertEqual((status, answer["affected"], self.reasons(answer)),
                         (207, [2], {1: "unreachable"}))

    def test_one_id_tells_an_agent_once(self):
        first = self.put("agents_list=1,2&id=deploy-1")
        self.assertEqual(first[0], 200)
        self.assertEqual(self.put("agents_list=1,2&id=deploy-1"), first)
        self.assertEqual(self.put("agents_list=1&id=deploy-1")[0], 409)
        self.cluster.kill("master")
        self.cluster.start("master")
        for worker in self.cluster.workers:
            self.cluster.until(f"{worker} is back", lambda worker=worker: self.connected(worker))
        status, answer = self.put("agents_list=1,2&id=deploy-1")
        self.assertEqual((status, answer["affected"]), (200, [1, 2]), "the workers remember")
        self.cluster.kill("w1")
        self.cluster.kill("master")
        self.cluster.start("master")
        self.cluster.start("w1")
        for worker in self.cluster.workers:
            self.cluster.until(f"{worker} is back", lambda worker=worker: self.connected(worker))
        self.cluster.until_right()
        status, answer = self.put("agents_list=1,2&id=deploy-1")
        self.assertEqual((status, answer["affected"], self.reasons(answer)),
                         (207, [2], {1: "uncertain"}))
        self.until_told("w1", [restart_text(1)])
        self.until_told("w2", [restart_text(2)])

    def odd_calls(self):
        """(query, body): what a client can get wrong, and what it may well say."""
        seeded = random.Random(7)
        numbers = ["0", "00", "-1", "+1", "1e3", "4294967295", "4294967296", "18446744073709551616",
                   "9" * 400, "0x7", "7.0", "", " 7", "7 ", "\u0667", "all,7", "ALL", "null"]
        for number in numbers:
            yield f"agents_list={urllib.parse.quote(number)}", ""
            yield "", number
            yield f"agents_list=1,{urllib.parse.quote(number)},2", ""
        yield "agents_list=" + ",".join(["1"] * 600), ""
        yield "", ",".join(map(str, range(1, 6_000)))
        yield "", ",".join(["7"] * 20_000)
        yield "", "," * 20_000
        yield "", "\0\x01\xff" * 100
        for value in ("", "v", "4.14", "v4.14.7", "Wazuh%20v4.14.7", "v99999999999.0.0", "x" * 1500, "%00",
                      "%ff%fe", "v4.14.0%0d%0aX:%201"):
            yield f"agents_list=7&assume={value}", ""
            yield f"agents_list=99&id={value}", ""
            yield f"agents_list=99&timeout={value}", ""
        for query in ("", "agents_list", "agents_list=1&agents_list=2", "color=red", "&&&", "=", "%",
                      "%zz=1", "agents_list=1&timeout=0s", "agents_list=99&timeout=1h",
                      "agents_list=99&timeout=-1s", "agents_list=99&timeout=99999999999999999999s",
                      "agents_list=99&id=" + "a" * 65, "agents_list=99&id=../..", "?" * 100):
            yield query, ""
        for _ in range(60):
            garbage = bytes(seeded.randrange(256) for _ in range(seeded.randrange(1, 80)))
            yield urllib.parse.quote(garbage, safe="&=,"), ""
            yield "agents_list=99&" + urllib.parse.quote(garbage, safe="&="), ""
            yield "", garbage.decode("latin-1")

    def test_whatever_is_asked_the_answer_is_json_and_never_a_fault_of_the_daemon(self):
        token = (self.cluster.stores["master"] / "token").read_text().strip()
        port = self.cluster.daemons["master"].port("inspect")
        statuses = collections.Counter()
        for query, body in self.odd_calls():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=70)
            try:
                connection.request("PUT", "/agents/restart" + (f"?{query}" if query else ""),
                                   body=body.encode("latin-1", "replace"),
                                   headers={"Authorization": f"Bearer {token}"})
                answer = connection.getresponse()
                said = json.loads(answer.read())
            finally:
                connection.close()
            self.assertTrue(200 <= answer.status < 300 or 400 <= answer.status < 500,
                            (answer.status, query[:200], body[:200], said))
            if answer.status not in (200, 207):
                self.assertTrue(said["error"], (answer.status, query[:200], body[:200]))
            statuses[answer.status] += 1
        self.assertGreater(statuses[400], 150, statuses)
        self.assertGreater(statuses[207], 0, "some of it can be understood")
        self.cluster.daemons["master"].check()
        self.assertEqual(self.cluster.http["master"].get("/healthz"), {"status": "ok"})
        self.assertEqual(self.put("agents_list=2")[0], 200)

    def test_a_daemon_that_stops_keeps_nobody_waiting(self):
        self.cluster.relays["w1"].block(True)
        self.cluster.relays["w1"].cut()
        self.cluster.until("w1's link is lost", lambda: not self.connected("w1"))
        mark = self.cluster.mark("master")
        ended = self.put_beside("agents_list=1&timeout=60s&id=waits")
        self.cluster.until("the command runs", lambda: any(
            "command=waits" in line for line in self.cluster.said_since("master", mark)))
        self.cluster.stop("master")
        status, answer = ended()
        self.assertEqual(status, 503)
        self.assertIn("id=waits", answer["error"])


if __name__ == "__main__":
    os.chdir("/")
    unittest.main()
