#!/usr/bin/env python3
"""A disk that is full, at either side: nothing is sent, or acked, that could not be stored; /healthz
says why; with room again everything goes on by itself. The disk is a small tmpfs: needs root."""

import sys
import time
import unittest

from cluster import Cluster
from daemons import Failure
from small_disk import fill, small_disk
from wire import log_records, seqs_in_log

AGENTS = list(range(1, 201))  # what they say fills more than a page of the log
CROWD = list(range(1001, 3001))
WORKERS = ("w1", "w2")
DISK_BYTES = 4 << 20


class DiskFull(unittest.TestCase):
    def setUp(self):
        self.disk = small_disk(self, DISK_BYTES)

    def cluster_with(self, who):
        self.cluster = Cluster(stores={who: self.disk / "store"})
        self.addCleanup(self.cluster.close)
        self.agents = self.cluster.begin().agents
        self.agents.enroll(AGENTS)
        for id in AGENTS:
            self.agents.connect(id, WORKERS[id % 2])
        self.cluster.until_right()

    def health(self, name):
        try:
            return self.cluster.http[name].get("/healthz")
        except Failure as failure:  # another answer than 200
            return str(failure)

    def said(self, name, mark, sign):
        return [line for line in self.cluster.said_since(name, mark) if sign in line]

    def test_a_sidecar_sends_nothing_that_it_could_not_store(self):
        self.cluster_with("w1")
        cluster, mark = self.cluster, self.cluster.mark("w1")
        self.agents.enroll(CROWD)
        ballast = fill(self.disk)
        for id in CROWD:  # a store that is full still has some pages of its own for little changes
            self.agents.connect(id, "w1")
        cluster.until("/healthz of w1 says failing", lambda: '"failing"' in self.health("w1"))
        self.assertRegex(self.health("w1"), r"503: .*the store cannot be written: .*(space|full disk)")
        cluster.until("what was stored is acked", lambda: (
            cluster.status("w1")["link"]["acked_seq"] == cluster.status("w1")["link"]["last_seq"]))
        before, answers = cluster.status("w1"), cluster.answers()
        self.assertGreater(before["backlog"]["unsent"], 0)
        self.assertLess(len(answers), len(AGENTS) + len(CROWD))
        here = self.agents.on("w1")
        for id in here[::3]:
            self.agents.goodbye(id)
        time.sleep(2)  # two tries more
        after = cluster.status("w1")
        self.assertEqual(after["link"]["last_seq"], before["link"]["last_seq"])
        self.assertEqual(after["link"]["stream"], before["link"]["stream"])
        self.assertGreater(after["backlog"]["unsent"], before["backlog"]["unsent"])
        self.assertTrue(cluster.streaming("w1"))
        self.assertEqual(cluster.answers(), answers)  # the master cannot know
        self.agents.move(1, "w1")
        cluster.until("w2 still tells what it sees", lambda: (
            cluster.answers()[1] == ("disconnected", None)))
        self.assertRegex(cluster.status("w1")["store"]["error"], "space|full disk")
        ballast.unlink()
        took = cluster.until_right()
        self.assertEqual(self.health("w1"), {"status": "ok"})
        self.assertEqual(len(self.said("w1", mark, "the store cannot be written")), 1)
        self.assertEqual(len(self.said("w1", mark, "the store can be written again")), 1)
        print(f"right {took:.1f} s after there was room again", flush=True)

    def test_a_master_acks_nothing_that_is_not_in_its_log(self):
        self.cluster_with("master")
        cluster, mark = self.cluster, self.cluster.mark("master")
        ballast = fill(self.disk)
        for id in AGENTS:
            self.agents.goodbye(id)
        cluster.until("/healthz of the master says failing",
                      lambda: '"failing"' in self.health("master"))
        self.assertRegex(self.health("master"), r"503: .*the log cannot be written: .*(space|full disk)")
        # The log's last page may have taken all that one of the workers has said so far.
        for id, worker in ((2, "w1"), (3, "w2")):
            self.agents.connect(id, worker)
        cluster.until("both workers wait", lambda: all(
            cluster.status(worker)["backlog"]["events"] for worker in WORKERS))
        time.sleep(2)
        for worker in WORKERS:
            # Every acked event is in the log's files, and the others are still in the outboxes.
            status = cluster.status(worker)
            seqs = seqs_in_log(log_records(cluster.stores["master"]))
            stream = seqs[int(status["link"]["stream"], 16)]
            self.assertLessEqual(set(range(1, status["link"]["acked_seq"] + 1)), stream)
            self.assertGreater(status["backlog"]["events"], 0)
        self.assertRegex(cluster.status("master")["log_error"], "[Ss]pace|full disk")
        for id in AGENTS[::3]:
            self.agents.connect(id, "w1")
        ballast.unlink()
        took = cluster.until_right()
        self.assertEqual(self.health("master"), {"status": "ok"})
        self.assertEqual(len(self.said("master", mark, "the log cannot be written")), 1)
        self.assertEqual(len(self.said("master", mark, "the log can be written again")), 1)
        print(f"right {took:.1f} s after there was room again", flush=True)

    def test_a_master_that_is_killed_while_its_disk_is_full_has_all_that_it_acked(self):
        self.cluster_with("master")
        cluster = self.cluster
        ballast = fill(self.disk)
        for id in AGENTS:
            self.agents.goodbye(id)
        cluster.until("/healthz of the master says failing",
                      lambda: '"failing"' in self.health("master"))
        acked = {}
        cluster.kill("master")
        for worker in WORKERS:
            link = cluster.status(worker)["link"]
            acked[int(link["stream"], 16)] = link["acked_seq"]
        seqs = seqs_in_log(log_records(cluster.stores["master"]))
        for stream, last in acked.items():
            self.assertLessEqual(set(range(1, last + 1)), seqs[stream])
        ballast.unlink()
        cluster.start("master")
        cluster.until_right()


if __name__ == "__main__":
    done = unittest.main(exit=False).result
    # 77 tells ctest that nothing was tested.
    sys.exit(77 if len(done.skipped) == done.testsRun else not done.wasSuccessful())
