#!/usr/bin/env python3
"""wazuh-db at its worst: absent, restarted, slow, truncating, mute, closing. The sidecar goes on,
says so in one line and once more when it is over, closes no agent because of it, and the table is
right at the end."""

import time
import unittest

from cluster import Cluster, run_part

AGENTS = list(range(1, 41))
STAY = AGENTS[:20]  # on w1, all the time


class SourceFaults(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.agents = self.cluster.agents

    def begin(self):
        self.cluster.begin()
        self.agents.enroll(AGENTS)
        for id in AGENTS:
            self.agents.connect(id, "w1" if id in STAY or id % 2 else "w2")
        self.cluster.until_right()
        self.mark = self.cluster.mark("w1")
        self.newest = max((d["number"] for d in self.cluster.decisions()), default=0)

    def source(self):
        return self.cluster.status("w1")["source"]

    def until_failing(self, sign):
        self.cluster.until(f"/status of w1 says {sign}", lambda: sign in (
            self.source()["error"] or ""), 30)

    def until_well(self):
        looks = self.source()["looks"]
        self.cluster.until("looks work again", lambda: self.source()["error"] is None
                           and self.source()["looks"] > looks, 30)

    def assert_nobody_was_closed(self):
        ended = [d for d in self.cluster.decisions(self.newest)
                 if d["agent"] in STAY and d["event"] in ("closed", "removed", "released")]
        self.assertEqual(ended, [])
        answers = self.cluster.answers()
        self.assertEqual({id: answers[id] for id in STAY}, {id: ("active", "w1") for id in STAY})

    def assert_lines(self, sign, times=1):
        """So many lines of trouble, and as many that it is over."""
        said = self.cluster.said_since("w1", self.mark)
        trouble = [line for line in said if " WARN " in line and "wazuh-db" in line]
        over = [line for line in said if "the table of agents can be read again" in line]
        self.assertEqual((len(trouble), len(over)), (times, times), said)
        for line in trouble:
            self.assertRegex(line, sign)
            self.assertIn(str(self.cluster.socket_of("w1")), line)

    def moves(self):
        """Some agents go from w2 to w1, and some from w1 to w2, but none of those that stay."""
        movers = [id for id in AGENTS if id not in STAY]
        before = {id: self.agents.where[id] for id in movers}
        for id in movers:
            self.agents.goodbye(id)
        for id in movers:
            self.agents.connect(id, "w1" if before[id] == "w2" else "w2")

    def play(self, sign, *fault, seconds=1.0):
        """The fault is on while agents move."""
        self.mark = self.cluster.mark("w1")
        with self.cluster.standin("w1") as standin:
            standin.fault(*fault)
            self.moves()
            self.until_failing(sign)
            time.sleep(seconds)
            self.assert_nobody_was_closed()
            standin.fault("none")
        self.until_well()
        self.cluster.until_right()
        self.assert_nobody_was_closed()
        self.assert_lines(sign)

    def test_it_breaks_connections(self):
        self.begin()
        self.play("the connection was lost", "drop")
        self.play("the connection was lost", "partial")

    def test_its_replies_are_garbage(self):
        self.begin()
        self.play("the answer is not one of wazuh-db's", "garbage")
        self.play("not whole JSON", "garbage", "json")
        self.play("wazuh-db", "garbage", "frame")

    def test_its_replies_are_cut_shorter_than_a_row(self):
        self.begin()
        self.play("not whole JSON", "truncate", 20)

    def test_it_is_mute(self):
        self.begin()
        self.play("no answer within 10 s", "stall")

    def test_it_closes_after_each_reply(self):
        # Each look of one page works, on a connection of its own; no look fails for good.
        self.begin()
        with self.cluster.standin("w1") as standin:
            standin.fault("close")
            self.moves()
            time.sleep(2)
            standin.fault("none")
        self.cluster.until_right()
        self.assert_nobody_was_closed()

    def test_its_replies_are_cut_where_smaller_pages_still_fit(self):
        self.begin()
        with self.cluster.standin("w1") as standin:
            standin.fault("truncate", 2000)
            self.moves()
            time.sleep(2)
            self.cluster.until_right()  # under the fault
            standin.fault("none")
        self.cluster.until_right()
        self.assert_nobody_was_closed()

    def test_it_is_slow(self):
        self.begin()
        with self.cluster.standin("w1") as standin:
            standin.fault("slow", 1500)
            self.moves()
            self.cluster.until_right()  # late, but right
            standin.fault("none")
        self.cluster.until_right()
        self.assert_nobody_was_closed()
        self.assertEqual([line for line in self.cluster.said_since("w1", self.mark)
                          if " WARN " in line], [])

    def test_it_is_well_and_asked_only_what_it_may_be(self):
        self.begin()
        looks = self.source()["looks"]
        self.moves()
        self.cluster.until("some looks", lambda: self.source()["looks"] > looks + 5, 30)
        source = self.source()
        self.assertEqual(source["wazuh"], "4.13 or later")
        self.assertEqual(source["keepalive_us"], 10_000_000, "as cluster.py configures it")
        self.assertEqual(source["agent_timeout_us"], 900_000_000, "as that Wazuh has it")
        self.assertEqual(source["table_rows"], len(AGENTS))
        self.assertLess(source["scans"], source["looks"])
        self.cluster.until_right()
        with self.cluster.standin("w1") as standin:
            stats = standin.stats()
        for never in ("non_select_sql", "secret_reads", "forbidden", "oversize_requests",
                      "partial_frames", "http_requests"):
            self.assertEqual(stats[never], 0, never)
        self.assertEqual(set(stats["commands"]), {"sql"})
        self.assertLess(stats["largest_request"], 16384)

    def test_it_is_not_there_at_the_start(self):
        cluster = self.cluster
        cluster.start("master")
        for worker in cluster.workers:
            cluster.start(worker)
        self.mark = 0
        for worker in cluster.workers:
            cluster.until(f"{worker} is connected", lambda worker=worker: cluster.streaming(worker))
        self.until_failing("there is no such socket")
        time.sleep(2)
        self.assertEqual(cluster.http["w1"].get("/healthz"), {"status": "ok"})
        for worker in cluster.workers:
            cluster.start(cluster.standin_of(worker))
        self.agents.enroll(AGENTS)
        for id in AGENTS:
            self.agents.connect(id, "w1")
        self.until_well()
        cluster.until_right()
        self.assert_lines("there is no such socket; start wazuh-manager")

    def test_it_restarts(self):
        self.begin()
        cluster = self.cluster
        with self.agents.paused():
            cluster.stop_wazuh("w1")
            self.until_failing("no such socket")
            cluster.start_wazuh("w1")
        self.until_well()
        self.moves()
        cluster.until_right()
        self.assert_nobody_was_closed()
        self.assert_lines("there is no such socket|the connection was lost")


if __name__ == "__main__":
    run_part()
