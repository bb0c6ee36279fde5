#!/usr/bin/env python3
"""/metrics of real daemons: what docs/metrics.md lists and nothing else, the numbers of /status, counters
that never go back, and no series for an agent."""

import pathlib
import re
import unittest

from cluster import ROOT, Cluster
from metrics_text import Metrics

AGENTS = list(range(1, 9))
LABELS = {"le", "node", "status", "rule", "cause", "result", "state", "end", "outcome", "kind",
          "answer", "mode", "reason", "certificate", "version"}


def documented():
    """{heading: names} of docs/metrics.md."""
    found, names = {}, set()
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        if line.startswith("## "):
            names = found.setdefault(line[3:], set())
        elif row := re.match(r"\| `([a-z_]+)(?:\{[a-z_, ]+\})?` \|", line):
            names.add(row[1])
    return found


class OnACluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().begin()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.until_all_are_on("w1", AGENTS)
        for id in AGENTS[:3]:
            cls.cluster.agents.move(id, "w2")
        cls.cluster.agents.goodbye(AGENTS[-1])
        cls.cluster.until_right()
        for worker in cls.cluster.workers:
            cls.cluster.until(f"{worker} agrees", lambda worker=worker: cls.cluster.status(worker)
                              ["agreement"]["state"] == "equal")

    def metrics(self, name):
        return Metrics.of(self.cluster.http[name].url)

    def beside_status(self, name, numbers):
        """The metrics, and what `numbers` makes of a /status that did not change meanwhile."""
        def steady():
            before = numbers(self.cluster.status(name))
            metrics = self.metrics(name)
            return before == numbers(self.cluster.status(name)) and (metrics, before)
        return self.cluster.until("/status stands still for a moment", steady)


class Exported(OnACluster):
    def test_the_documented_are_exported_and_no_others(self):
        listed = documented()
        for name, heading in ("master", "The master"), ("w1", "The sidecar"):
            self.assertEqual(set(self.metrics(name).types), listed["Both"] | listed[heading])

    def test_no_series_is_about_one_agent(self):
        before = {name: self.metrics(name).samples.keys() for name in ("master", "w1")}
        for samples in before.values():
            for _, labels in samples:
                self.assertLessEqual({label for label, _ in labels}, LABELS)
        self.cluster.until_all_are_on("w2", [101, 102])
        for name, samples in before.items():
            self.assertEqual(self.metrics(name).samples.keys(), samples)

    def test_the_master_says_what_its_status_says(self):
        metrics, status = self.beside_status("master", lambda s: {
            key: s[key] for key in ("active", "migrating", "unreachable", "disconnected", "decisions",
                                    "events", "frames", "duplicates", "repairs", "digests",
                                    "inventories", "connections", "superseded_sent", "in_doubt",
                                    "listener", "leases", "commands", "refused_connections")})
        agents = metrics.by("rollcall_master_agents", "status")
        self.assertEqual(agents, {key: status[key] for key in agents})
        self.assertGreater(agents["active"], 0)
        self.assertGreater(agents["disconnected"], 0)
        self.assertEqual(metrics.by("rollcall_master_decisions_total", "rule"), status["decisions"])
        self.assertEqual(metrics.by("rollcall_master_inventories_total", "result"),
                         status["inventories"])
        self.assertEqual(metrics.by("rollcall_master_handshakes_total", "result"), status["listener"])
        for name, key in (("events_total", "events"), ("deltas_total", "frames"),
                          ("events_duplicate_total", "duplicates"),
                          ("superseded_sent_total", "superseded_sent"),
                          ("connections_refused_total", "refused_connections"),
                          ("agents_in_doubt", "in_doubt"), ("connections", "connections")):
            self.assertEqual(metrics.value(f"rollcall_master_{name}"), status[key], name)
        self.assertEqual(metrics.value("rollcall_master_commands_total"), status["commands"]["begun"])
        # Of the workers together as of all.
        workers = self.cluster.workers
        for status_of, count in agents.items():
            of_workers = sum(metrics.value("rollcall_worker_agents", node=node, status=status_of)
                             for node in workers)
            if status_of != "disconnected":  # which is no longer on any worker
                self.assertEqual(of_workers, count, status_of)
        for cause, count in status["repairs"].items():
            self.assertEqual(sum(metrics.value("rollcall_worker_repairs_total", node=node, cause=cause)
                                 for node in workers), count, cause)
        for rule in "older", "duplicate", "conflict", "future_epoch":
            self.assertEqual(sum(metrics.value("rollcall_worker_refused_total", node=node, rule=rule)
                                 for node in workers), status["decisions"][rule], rule)
        for result in "equal", "differ":
            self.assertEqual(sum(metrics.value("rollcall_worker_digests_total", node=node,
                                               result=result) for node in workers),
                             status["digests"][result], result)
        valid = sum(metrics.value("rollcall_worker_lease", node=node, status="valid")
                    for node in workers)
        self.assertEqual(valid, status["leases"]["valid"])

    def test_a_worker_says_what_its_status_says(self):
        metrics, status = self.beside_status("w1", lambda s: {
            key: s[key] for key in ("agents", "open_sessions", "backlog", "answers", "link",
                                    "commands")})
        for name, value in (("agents", status["agents"]),
                            ("open_sessions", status["open_sessions"]),
                            ("unacked_events", status["backlog"]["events"]),
                            ("backlog_bytes", status["backlog"]["bytes"]),
                            ("folded_events_total", status["backlog"]["folded"]),
                            ("clock_known", 1), ("commands_total", status["commands"]["messages"])):
            self.assertEqual(metrics.value(f"rollcall_sidecar_{name}"), value, name)
        self.assertEqual(metrics.by("rollcall_sidecar_answers_total", "answer"), status["answers"])
        self.assertEqual(metrics.value("rollcall_sidecar_link", state=status["link"]["state"]), 1)
        self.assertEqual(sum(metrics.by("rollcall_sidecar_link", "state").values()), 1)
        # It is measured anew all the time.
        self.assertAlmostEqual(metrics.value("rollcall_sidecar_clock_offset_seconds"),
                               self.cluster.status("w1")["clock"]["offset_us"] / 1e6, delta=0.05)
        self.assertGreater(metrics.value("rollcall_sidecar_acks_total"), 0)

    def test_what_took_time_is_counted_by_how_long(self):
        for name, histogram in (("master", "rollcall_master_ack_duration_seconds"),
                                ("master", "rollcall_commit_duration_seconds"),
                                ("master", "rollcall_master_migration_gap_seconds"),
                                ("w1", "rollcall_sidecar_ack_duration_seconds"),
                                ("w1", "rollcall_commit_duration_seconds"),
                                ("w1", "rollcall_sidecar_source_look_seconds")):
            metrics = self.metrics(name)
            count = metrics.value(f"{histogram}_count")
            self.assertGreater(count, 0, histogram)
            buckets = [value for _, value in
                       sorted(metrics.by(f"{histogram}_bucket", "le").items(),
                              key=lambda bucket: float(bucket[0]))]
            self.assertEqual(buckets, sorted(buckets), histogram)
            self.assertEqual(buckets[-1], count, histogram)
        moved = self.metrics("master").by("rollcall_master_migrations_total", "end")
        self.assertEqual(sum(moved.values()), 3)

    def test_the_process_and_its_files_are_there(self):
        for name in "master", "w1":
            metrics = self.metrics(name)
            began = self.cluster.daemons[name].log.stat().st_mtime
            self.assertLess(abs(metrics.value("process_start_time_seconds") - began), 3600)
            self.assertGreater(metrics.value("process_resident_memory_bytes"), 1 << 20)
            self.assertGreater(metrics.value("process_open_fds"), 5)
            self.assertGreater(metrics.value("rollcall_store_size_bytes"), 0)
            self.assertEqual(metrics.value("rollcall_store_failing"), 0)
            ends = metrics.by("rollcall_certificate_expiry_timestamp_seconds", "certificate")
            listed = self.cluster.status(name)["certificates"]
            self.assertEqual(ends, {label: one["not_after"] / 1e6
                                    for label, one in zip(("own", "ca"), listed, strict=True)})


class Counted(OnACluster):
    def test_what_is_counted_never_goes_back(self):
        before = {name: self.metrics(name) for name in ("master", "w1")}
        self.cluster.kill("w2")
        self.cluster.agents.move(4, "w2")
        self.cluster.start("w2")
        with self.cluster.agents.paused():
            self.cluster.stop_wazuh("w1")
            failed = self.cluster.status("w1")["source"]["failures"]
            self.cluster.until("w1 sees that", lambda: self.cluster.status("w1")["source"]
                               ["failures"] > failed)
            self.cluster.start_wazuh("w1")
        self.cluster.until_right()
        for name, old in before.items():
            new = self.metrics(name)
            for (sample, labels), value in old.samples.items():
                if old.is_counted(sample):
                    self.assertGreaterEqual(new.samples[sample, labels], value, (sample, labels))
        self.assertGreater(
            new.value("rollcall_sidecar_source_failures_total"),
            before["w1"].value("rollcall_sidecar_source_failures_total"))
        self.assertGreater(
            self.metrics("master").value("rollcall_worker_events_total", node="w2"),
            before["master"].value("rollcall_worker_events_total", node="w2"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
