#!/usr/bin/env python3
"""Wazuh's own table on the master, and what the sink makes of it. The master has a stand-in for
wazuh-db of its own; the test plays the master's cluster daemon there, which writes what the workers
sent as late as it came:

S1  w1 "active", then w2's late "disconnected"
S2  w1 "disconnected", then its own older keepalive
S3  a stale full row of w1 after w2's
S7  a keepalive pending on w1; the agent moves to w2 and stops there
S9  remoted restarts on w1, which the master is never told
"""

import time
import unittest

from cluster import STANDIN_LIVES_S, Cluster, fields_of, run_part
from daemons import http_socket_in, master_configuration, socket_in
from remoted_counters import RemotedCounters
from wdb import ClusterSync, Manager, Standin

AGENTS = [7, 8, 9, 10, 11]
OLD = "Wazuh v4.11.2"
# A decision says when it was; a row that was corrected need not say the very second.
TIMES = ("last_keepalive", "disconnection_time")


class SinkCluster(Cluster):
    """With a Wazuh on the master. `own`: a worker whose sidecar looks at the master's own table."""

    MORE_OF_SIDECARS = {"handoff": {"manager_restart_grace": "1s"}}
    TIMING = {"heartbeat": "500ms", "ttl": "3s"}

    def __init__(self, mode, flavour="4.14", own=None, **sink):
        self.mode, self.flavour, self.own, self.sink = mode, flavour, own, sink
        super().__init__(("w1", "w2", own) if own else ("w1", "w2"))
        self.wazuh = ClusterSync(socket_in(self.home), self.http_socket)

    @property
    def home(self):
        return self.folder / "m"

    @property
    def http_socket(self):
        return http_socket_in(self.home) if self.flavour == "4.14" else None

    def _prepare(self, of_master):
        sink = {"mode": self.mode, "wazuh_home": self.home, "every": "1s", "settle": "500ms",
                **self.sink}
        super()._prepare(master_configuration(
            self.pki, self.stores["master"], timing=self.TIMING, sink=sink))
        if not self.own:
            http = ["--http-socket", self.http_socket] if self.http_socket else []
            self.add_standin("m", self.home, STANDIN_LIVES_S, "--flavour", self.flavour, *http)

    def source_of(self, worker):
        source = super().source_of(worker)
        if worker == self.own:
            source |= {"only_node_name": "true", "scan": "1s"}
        return source

    def add_standin(self, worker, home, seconds, *more):
        if worker == self.own and not more:
            more = ["--http-socket", self.http_socket]
        return super().add_standin(worker, home, seconds, *more)

    def begin(self):
        if not self.own:
            self.start("m-wazuhdb")
        super().begin()
        if not self.own:
            self.wazuh.enroll(AGENTS)
        return self

    def close(self):
        if hasattr(self, "wazuh"):
            self.wazuh.close()
        super().close()

    def sink_page(self):
        return self.http["master"].get("/sink")

    def until_shown(self, id, status, node, seconds=30):
        def shown():
            row = self.wazuh.row(id)
            return row if (row["connection_status"], row["node_name"]) == (status, node) else None
        return self.until(f"Wazuh's table has agent {id} {status} on {node}", shown, seconds)


class SinkTest(unittest.TestCase):
    CLUSTER = SinkCluster

    def start(self, mode, *arguments, **sink):
        self.cluster = self.CLUSTER(mode, *arguments, **sink)
        self.addCleanup(self.cluster.close)
        self.cluster.begin()
        self.wazuh, self.agents = self.cluster.wazuh, self.cluster.agents
        self.agents.enroll(AGENTS)

    # Each brings agent and table where the case begins, and returns what the worker's own sync would
    # still write, and what is right.

    def s1(self):
        self.agents.connect(7, "w2")
        self.agents.move(7, "w1")
        row = self.told(7, "active", "w1")
        return lambda: self.wazuh.status({**row, "node_name": self.stale_node(row, "w2")},
                                         "disconnected", int(time.time())), (7, "active", "w1")

    def s2(self):
        self.agents.connect(8, "w1")
        row = self.told(8, "active", "w1")
        self.agents.goodbye(8)
        self.told(8, "disconnected", "w1")
        return lambda: self.wazuh.keepalive(row), (8, "disconnected", "w1")

    def s3(self):
        self.agents.connect(9, "w1", version=OLD, labels={"site": "old", "rack": "1"})
        row = self.told(9, "active", "w1")
        self.agents.goodbye(9)
        self.agents.connect(9, "w2")
        self.told(9, "active", "w2")
        return lambda: self.wazuh.full_row(row), (9, "active", "w2")

    def s7(self):
        self.agents.connect(10, "w1")
        row = self.told(10, "active", "w1")
        self.agents.move(10, "w2")
        self.told(10, "active", "w2")
        self.agents.goodbye(10)
        self.told(10, "disconnected", "w2")
        return lambda: self.wazuh.keepalive(row), (10, "disconnected", "w2")

    def s9(self):
        self.agents.connect(11, "w1")
        self.told(11, "active", "w1")

        def restart():
            self.agents.vanish(11)
            with Manager(self.cluster.socket_of("w1"), standin=True) as manager:
                manager.remoted_restart()
        return restart, (11, "disconnected", "w1")

    def stale_node(self, row, node):
        """Only whole rows, as before 4.13, bring the node that they came from."""
        return row["node_name"] if self.cluster.flavour == "4.14" else node

    def told(self, id, status, node, sync=True):
        """It was decided so, and Wazuh's own sync has told the master: what the sink corrected
        before, it would correct more slowly."""
        self.cluster.until(f"agent {id} is {status} on {node}", lambda: self.decided(id) == (
            status, node))
        if sync:
            self.sync(id, node)
        return self.cluster.until_shown(id, status, node)

    def sync(self, id, node):
        """The worker's whole row reaches the master."""
        of_worker = ClusterSync(self.cluster.socket_of(node))
        self.wazuh.full_row(of_worker.row(id))
        of_worker.close()

    def decided(self, id):
        agent = self.cluster.http["master"].get(f"/agents/{id}")
        return agent and (agent["status"], agent["node"])

    def assert_whole(self, before, after):
        same = {key: value for key, value in before.items() if key not in TIMES}
        self.assertEqual({key: after.get(key) for key in same}, same)
        for key, value in before.items():
            self.assertEqual(bool(after.get(key)), bool(value), key)

    def assert_left_alone(self, id, why):
        """The row is wrong, for this reason it is not corrected, and it stays as it is."""
        before, first = self.wazuh.row(id), self.newest()
        rounds = self.cluster.sink_page()["rounds"]

        def left_alone():
            page = self.cluster.sink_page()
            # Some rounds: a row is due only after it has differed for `settle`.
            return page["rounds"] > rounds + 4 and page["withheld"][why] == 1
        self.cluster.until(f"{id} is left alone as {why}", left_alone)
        page = self.cluster.http["master"].get(f"/sink?after={first}")
        self.assertEqual(page["corrections"], [])
        self.assertEqual(page["differing"], 0)
        self.assertEqual(self.wazuh.row(id), before)

    def assert_put_right(self, case):
        with self.subTest(case=case):
            late, right = getattr(self, case)()
            before = self.wazuh.row(right[0])
            rounds, first = self.cluster.sink_page()["rounds"], self.newest()
            late()
            if case == "s9":  # what is right has to be decided first
                self.cluster.until("s9 is decided", lambda: self.decided(right[0]) == right[1:])
                rounds = self.cluster.sink_page()["rounds"]
            corrected, after = self.until_corrected(first, *right)
            self.assertLessEqual(corrected["round"] - rounds, 3, "two, and one that was under way")
            if case == "s9":
                before |= {"connection_status": "disconnected", "status_code": after["status_code"],
                           "disconnection_time": 1}
            self.assert_whole(before, after)

    def newest(self):
        return max((c["number"] for c in self.cluster.sink_page()["corrections"]), default=0)

    def until_corrected(self, first, id, status, node):
        corrections = self.cluster.until(f"agent {id} was corrected", lambda: [
            c for c in self.cluster.http["master"].get(f"/sink?after={first}")["corrections"]
            if c["agent"] == id and c["written"]])
        return corrections[0], self.cluster.until_shown(id, status, node)


class Correct(SinkTest):
    def play(self, *arguments):
        self.start("correct", *arguments)
        for case in ("s1", "s2", "s3", "s7", "s9"):
            self.assert_put_right(case)
        page = self.cluster.sink_page()
        self.assertEqual((page["refused"], page["error"]), (0, None))
        said = self.cluster.said_since("master")
        lines = [fields_of(line) for line in said if "Wazuh's table was corrected" in line]
        self.assertEqual(len(lines), page["written"])
        self.assertIn("active -> disconnected", [line.get("connection_status") for line in lines])
        self.assertEqual(self.agents_only(), sorted(AGENTS))
        with Standin(socket_in(self.cluster.home)) as standin:
            stats = standin.stats()
        for harm in ("oversize_requests", "non_select_sql", "secret_reads", "forbidden",
                     "partial_frames"):
            self.assertEqual(stats[harm], 0, stats)

    def agents_only(self):
        with Manager(socket_in(self.cluster.home), standin=True) as manager:
            return [row["id"] for row in manager.sql("SELECT id FROM agent WHERE id>0")]

    def test_since_4_13_by_http(self):
        self.play()
        self.assertEqual(self.cluster.sink_page()["write"], "http")

    def test_before_4_13_by_the_stream_socket(self):
        self.play("4.11")
        self.assertEqual(self.cluster.sink_page()["write"], "stream")


class Observe(SinkTest):
    def test_everything_is_reported_and_nothing_written(self):
        self.start("observe")
        for case in ("s1", "s2", "s3", "s7", "s9"):
            with self.subTest(case=case):
                late, (id, *right) = getattr(self, case)()
                late()
                first = self.cluster.sink_page()["observed"]
                self.cluster.until(f"{case} is reported", lambda: self.reported(id, right))
                row = self.wazuh.row(id)
                self.assertNotEqual([row["connection_status"], row["node_name"]], right)
                self.assertGreaterEqual(self.cluster.sink_page()["observed"], first)
        page = self.cluster.sink_page()
        self.assertEqual((page["written"], page["refused"]), (0, 0))
        with Standin(socket_in(self.cluster.home)) as standin:
            commands = standin.stats()["commands"]
        self.assertEqual(set(commands) - {"sql", "POST /v1/agents/sync"}, set())
        written = [c for c in page["corrections"] if c["written"]]
        self.assertEqual(written, [])

    def reported(self, id, right):
        """The newest report of this agent is about what is wrong now."""
        row = self.wazuh.row(id)
        found = [c for c in self.cluster.sink_page()["corrections"] if c["agent"] == id]
        return found and all(
            found[-1]["after"].get(key, row[key]) == value
            for key, value in zip(("connection_status", "node_name"), right))


class ActiveOnW1(SinkTest):
    """Agent 7; wrong() has Wazuh's table say that it is disconnected."""

    def setUp(self):
        self.start("correct")
        self.agents.connect(7, "w1")
        self.row = self.told(7, "active", "w1")

    def wrong(self):
        self.wazuh.status(self.row, "disconnected", int(time.time()))


class Faults(ActiveOnW1):
    def until_trouble(self, sign):
        def trouble():
            return sign in (self.cluster.status("master")["sink"]["error"] or "")
        self.cluster.until(f"/status says {sign}", trouble)
        health = self.cluster.http["master"].get("/healthz")
        self.assertEqual(health["status"], "degraded")
        self.assertIn(sign, health["why"])

    def the_rest_goes_on(self):
        self.agents.connect(8, "w1")
        self.agents.move(8, "w2")
        self.cluster.until("agents are decided on", lambda: self.decided(8) == ("active", "w2"))

    def until_well(self):
        self.cluster.until_shown(7, "active", "w1", 90)
        self.cluster.until("no trouble", lambda: not self.cluster.sink_page()["error"])
        self.assertEqual(self.cluster.http["master"].get("/healthz"), {"status": "ok"})

    def test_wazuh_db_that_is_killed(self):
        self.cluster.kill("m-wazuhdb")
        self.until_trouble("nobody answers there")
        self.the_rest_goes_on()
        self.cluster.start("m-wazuhdb")
        self.wazuh.close()
        self.wazuh.enroll(AGENTS)
        self.until_well()

    def test_wazuh_db_that_is_slow(self):
        with Standin(socket_in(self.cluster.home)) as standin:
            self.wrong()
            standin.fault("slow", 12_000)
            self.until_trouble("no answer within 10 s")
            self.the_rest_goes_on()
            standin.fault("none")
        self.until_well()

    def test_wazuh_db_that_cannot_write(self):
        with Standin(socket_in(self.cluster.home)) as standin:
            self.wrong()
            standin.fault("readonly")
            self.until_trouble("the answer is 500")
            self.the_rest_goes_on()
            standin.fault("none")
        self.until_well()
        self.assertGreater(self.cluster.sink_page()["refused"], 0)


    def test_a_worker_whose_sidecar_is_blind(self):
        with Standin(self.cluster.socket_of("w2")) as standin:
            standin.fault("drop")
            self.cluster.until("w2 is blind", lambda: self.node("w2")["blind"])
            self.agents.goodbye(7)
            self.told(7, "disconnected", "w1")
            self.agents.connect(7, "w2")
            self.sync(7, "w2")
            first = self.newest()
            rounds = self.cluster.sink_page()["rounds"]
            self.cluster.until("it is left alone", lambda: (
                self.cluster.sink_page()["withheld"]["no_sidecar"] == 1
                and self.cluster.sink_page()["rounds"] > rounds + 3))
            standin.fault("none")
        self.cluster.until("w2 sees it", lambda: self.decided(7) == ("active", "w2"))
        row = self.wazuh.row(7)
        self.assertEqual((row["connection_status"], row["node_name"]), ("active", "w2"))
        self.assertEqual(self.cluster.http["master"].get(f"/sink?after={first}")["corrections"], [])

    def node(self, name):
        (found,) = [n for n in self.cluster.http["master"].get("/nodes")["nodes"]
                    if n["node"] == name]
        return found


class Withheld(ActiveOnW1):
    """Of whom nothing is known for certain, nothing is written."""

    class CLUSTER(SinkCluster):  # pylint: disable=invalid-name
        TIMING = {**SinkCluster.TIMING, "grace": "1s"}

    def test_an_agent_whose_workers_sidecar_was_killed(self):
        self.cluster.kill("w1")
        self.cluster.until("its lease expired", lambda: (
            self.cluster.http["master"].get("/agents/7")["reason"] == "lease_expired"))
        self.assertEqual(self.decided(7), ("disconnected", "w1"))
        # It is connected all the same, as Wazuh has it: nobody knows better.
        rounds, first = self.cluster.sink_page()["rounds"], self.newest()
        self.cluster.until("some rounds", lambda: self.cluster.sink_page()["rounds"] > rounds + 4)
        self.assertEqual(self.newest(), first)
        self.cluster.until_shown(7, "active", "w1", 1)
        # Nor is Wazuh put right when its own news of that worker come late.
        self.wrong()
        self.assert_left_alone(7, "unreachable")
        first = self.newest()
        self.cluster.start("w1")
        self.until_corrected(first, 7, "active", "w1")

    def test_an_agent_in_migration(self):
        self.agents.vanish(7)
        self.cluster.tool("drain", "--no-wait", "--sidecar", self.cluster.http["w1"].url, "--token",
                          self.cluster.stores["w1"] / "token")
        self.cluster.until("it is offered", lambda: self.decided(7) == ("migrating", "w1"))
        self.wrong()
        self.assert_left_alone(7, "unsettled")
        first = self.newest()
        self.agents.connect(7, "w2")
        self.until_corrected(first, 7, "active", "w2")


class OwnNode(SinkTest):
    """The master has agents of its own, and a sidecar that looks at the same table."""

    def test_what_the_sink_wrote_is_no_evidence_there(self):
        self.start("correct", "4.14", "m")
        self.wazuh.is_node("m")
        self.agents.connect(8, "m")
        self.agents.connect(7, "w1")
        self.told(7, "active", "w1", sync=False)
        self.cluster.until("8 is there", lambda: self.decided(8) == ("active", "m"))
        self.agents.move(7, "w2")
        self.told(7, "active", "w2", sync=False)
        self.agents.goodbye(7)
        self.told(7, "disconnected", "w2", sync=False)
        self.cluster.until("all was told", self.cluster.quiet)
        by_m = {d["agent"] for d in self.cluster.decisions() if d["node"] == "m"}
        self.assertEqual(by_m, {8})
        self.assertEqual({c["agent"] for c in self.cluster.sink_page()["corrections"]}, {7})
        self.assertEqual(self.cluster.sink_page()["own_node"], "m")

    def own_rows(self, **wanted):
        def fact():
            said = self.cluster.status("m")["source"]["own_rows"]
            return all(said[key] == value for key, value in wanted.items())
        self.cluster.until(f"m's sidecar says {wanted} of its rows", fact)

    def arrive(self, id):
        """On m, as its remoted counts it."""
        self.remoted.count(id, "startup")
        self.agents.connect(id, "m")
        self.until_decided(id, "active", "m")

    def until_decided(self, id, *right):
        self.cluster.until(f"{id} is {right}", lambda: self.decided(id) == right)

    def test_what_wazuhs_late_sync_wrote_is_no_evidence_there(self):
        self.start("observe", "4.14", "m")
        self.wazuh.is_node("m")
        self.remoted = RemotedCounters(self.cluster.home)
        self.addCleanup(self.remoted.close)

        # S1: w1's late "disconnected" of an agent that is on m by now.
        self.agents.connect(7, "w1")
        self.until_decided(7, "active", "w1")
        self.agents.goodbye(7)
        self.arrive(7)
        row = self.wazuh.row(7)

        def refused():
            said = self.cluster.status("m")["source"]["own_rows"]
            # Not yet, or the agent's next keepalive came before any look.
            if said["refused"] == said["held"] == 0:
                self.wazuh.status(row, "disconnected", int(time.time()))
            return said["refused"] > 0 and said["held"] == 0
        self.cluster.until("m's sidecar heard by a keepalive that the agent is here", refused)

        # S7: w1's late keepalive of an agent that came to m after it, and stopped there.
        self.arrive(8)
        self.remoted.count(8, "shutdown")
        self.agents.goodbye(8)
        self.until_decided(8, "disconnected", "m")
        self.wazuh.keepalive(self.wazuh.row(8))
        self.own_rows(held=1)

        # S3: w1's late full row of an agent that is on m by now, and leaves.
        self.agents.connect(9, "w1")
        self.until_decided(9, "active", "w1")
        of_w1 = ClusterSync(self.cluster.socket_of("w1"))
        self.addCleanup(of_w1.close)
        self.agents.goodbye(9)
        self.arrive(9)
        self.wazuh.full_row(of_w1.row(9))
        self.own_rows(hidden=1)
        before = self.cluster.status("m")["source"]["scans"]
        self.cluster.until("the table was read again and again", lambda: self.cluster.status(
            "m")["source"]["scans"] > before + 3)
        self.assertEqual(self.decided(9), ("active", "m"))
        self.remoted.count(9, "shutdown")
        self.agents.goodbye(9)
        self.until_decided(9, "disconnected", "m")

        self.cluster.until("all was told", self.cluster.quiet)
        by_m = [(d["agent"], d["event"]) for d in self.cluster.decisions() if d["node"] == "m"]
        for id, right in ((7, ["opened"]), (8, ["opened", "closed"]), (9, ["opened", "closed"])):
            self.assertEqual([event for agent, event in by_m if agent == id and
                              event in ("opened", "closed", "removed")], right)

        # And what is believed outlives the process.
        self.cluster.kill("m")
        self.cluster.start("m")
        self.own_rows(held=1)
        self.cluster.until("all was told", self.cluster.quiet)
        self.assertEqual(self.decided(8), ("disconnected", "m"))
        self.arrive(8)


if __name__ == "__main__":
    run_part()
