#!/usr/bin/env python3
"""The master is away for a while, and agents move on meanwhile: nothing is lost, and the table is
right once it is back, whatever happened to the sidecars in between."""

import time
import unittest

from cluster import Cluster

AGENTS = list(range(1, 31))
WORKERS = ("w1", "w2")


class MasterAway(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.close)
        self.agents = self.cluster.begin().agents
        self.agents.enroll(AGENTS)
        for id in AGENTS:
            self.agents.connect(id, WORKERS[id % 2])
        self.cluster.until_right()

    def moves(self, rounds=2):
        """Everybody leaves and comes to the other worker; every fifth one stays away in the end."""
        for _ in range(rounds):
            before = dict(self.agents.where)
            for id, worker in before.items():
                if worker:
                    self.agents.goodbye(id)
            for id, worker in before.items():
                self.agents.connect(id, "w1" if worker == "w2" else "w2")
        for id in AGENTS[::5]:
            self.agents.goodbye(id)

    def backlog(self, worker):
        return self.cluster.status(worker)["backlog"]

    def until_seen(self, worker):
        """The sidecar has written down what its stand-in says."""
        truth = self.agents.truth()
        def seen():
            agents = self.cluster.http[worker].get("/agents")["agents"]
            here = {a["id"] for a in agents if a["session"] and a["session"]["phase"] == "open"}
            return {id for id in truth if truth[id][1] == worker} <= here and not any(
                truth[id][0] == "disconnected" and id in here for id in truth)
        self.cluster.until(f"{worker} has seen the moves", seen)

    def told_all(self):
        """The master's streams have what the sidecars' had to say."""
        nodes = {n["node"]: n for n in self.cluster.http["master"].get("/nodes")["nodes"]}
        for worker in WORKERS:
            link = self.cluster.status(worker)["link"]
            self.assertEqual((nodes[worker]["stream"], nodes[worker]["last_seq"]),
                             (link["stream"], link["last_seq"]))
            self.assertEqual(link["acked_seq"], link["last_seq"])

    def test_moves_while_it_is_away_are_told_when_it_is_back(self):
        self.cluster.stop("master")
        self.moves()
        for worker in WORKERS:
            self.until_seen(worker)
            self.assertGreaterEqual(self.backlog(worker)["events"], len(AGENTS))
            self.assertNotEqual(self.cluster.status(worker)["link"]["state"], "streaming")
            self.assertTrue(self.cluster.status(worker)["link"]["error"])
            self.assertEqual(self.cluster.http[worker].get("/healthz"), {"status": "ok"})
        self.cluster.start("master")
        took = self.cluster.until_right()
        self.told_all()
        self.assertEqual([self.backlog(worker)["events"] for worker in WORKERS], [0, 0])
        print(f"right {took:.1f} s after the master was back", flush=True)

    def test_a_sidecar_that_restarts_meanwhile_still_tells_what_it_saw_before(self):
        self.cluster.stop("master")
        self.moves(rounds=1)
        for worker in WORKERS:
            self.until_seen(worker)
        kept = self.backlog("w1")["events"]
        self.assertGreaterEqual(kept, len(AGENTS) // 2)
        self.cluster.stop("w1")
        self.cluster.start("w1")
        self.cluster.kill("w2")
        self.cluster.start("w2")
        self.assertGreaterEqual(self.backlog("w1")["events"], kept)
        self.moves(rounds=1)
        self.cluster.start("master")
        took = self.cluster.until_right()
        self.told_all()
        print(f"right {took:.1f} s after the master was back", flush=True)

    def test_a_sidecar_that_is_down_while_its_agents_leave_catches_up_after_the_master(self):
        self.cluster.stop("master")
        self.cluster.stop("w2")
        self.moves(rounds=1)
        self.cluster.start("master")
        time.sleep(1)
        self.cluster.start("w2")
        took = self.cluster.until_right()
        self.told_all()
        print(f"right {took:.1f} s after both were back", flush=True)


if __name__ == "__main__":
    unittest.main()
