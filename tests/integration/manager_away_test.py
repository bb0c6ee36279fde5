#!/usr/bin/env python3
"""wazuh-manager of a worker is stopped for longer than a hiccup: its agents migrate meanwhile, and the
feed has a disconnect only for the one that nobody heard within the grace."""

import unittest

from cluster import Cluster

AGENTS = list(range(1, 9))
BACK = [1, 2, 3, 4]  # on w1 again when its manager is
GOES = [5, 6, 7]  # to w2 meanwhile
LOST = 8  # is nowhere any more
GRACE_S = 25  # two and a half keepalives; of whoever did not say goodbye none is shorter


class Restarted(Cluster):
    MORE_OF_SIDECARS = {"handoff": {"manager_restart_grace": f"{GRACE_S}s"}}


class ManagerAway(unittest.TestCase):
    def setUp(self):
        self.cluster = Restarted()
        self.addCleanup(self.cluster.close)
        self.cluster.begin()
        self.agents = self.cluster.agents
        self.cluster.until_all_are_on("w1", AGENTS)

    def master(self, path):
        return self.cluster.http["master"].get(path)

    def feed(self):
        return [(event["agent"], event["event"], event["reason"])
                for event in self.master("/events?after=0&limit=1000")["events"]]

    def handoffs(self, query=""):
        page = self.cluster.http["w1"].get(f"/handoffs?{query}")
        return page["manager_gone"], {h["agent"]: h for h in page["handoffs"]}

    def until_offered(self):
        """All of them, from three seconds after the socket went."""
        self.cluster.until("the sidecar offers them", lambda: self.handoffs()[0] and (
            set(self.handoffs("end=none")[1]) == set(AGENTS)))
        self.assertEqual({h["cause"] for h in self.handoffs()[1].values()}, {"manager"})
        self.cluster.until("the master shows it", lambda: all(
            self.cluster.answers()[id] == ("migrating", None) for id in AGENTS))
        for id in AGENTS:
            agent = self.master(f"/agents/{id}")
            self.assertEqual((agent["node"], agent["reason"]), ("w1", None))
            self.assertIsNotNone(agent["offered_until"])

    def test_who_comes_back_or_goes_elsewhere_is_never_disconnected(self):
        began = [(id, "connect", None) for id in AGENTS]
        with self.agents.paused():
            self.cluster.stop_wazuh("w1")
            self.until_offered()
            self.assertEqual(sorted(self.feed()), began, "nothing became of anybody")
            for id in (*GOES, LOST):
                self.agents.vanish(id)
            for id in GOES:
                self.agents.connect(id, "w2")
            self.cluster.until("w2 has them", lambda: all(
                self.cluster.answers()[id] == ("active", "w2") for id in GOES))
            self.cluster.start_wazuh("w1")
        self.cluster.until("the others are back", lambda: all(
            self.cluster.answers()[id] == ("active", "w1") for id in BACK))
        gone, ends = self.handoffs()
        self.assertFalse(gone)
        self.assertEqual({id: ends[id]["end"] for id in BACK + GOES},
                         {**dict.fromkeys(BACK, "stayed"), **dict.fromkeys(GOES, "taken")})
        self.assertEqual({ends[id]["to"] for id in GOES}, {"w2"})
        migrated = began + [(id, "migrate", None) for id in GOES]
        self.assertEqual(sorted(self.feed()), sorted(migrated))
        self.cluster.until_right(GRACE_S + 45)
        self.assertEqual(sorted(self.feed()),
                         sorted([*migrated, (LOST, "disconnect", "handoff_expired")]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
