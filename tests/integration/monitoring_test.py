#!/usr/bin/env python3
"""packaging/monitoring with Debian's prometheus: promtool's checks, each alert played out on invented numbers,
and real daemons scraped by a real Prometheus that answers all of the dashboard's queries.

Without promtool and prometheus (Debian: apt-get install prometheus) only the names are compared."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

from cluster import ROOT, Cluster, Failure
from daemons import Daemon
from metrics_test import documented
from metrics_text import Metrics

MONITORING = ROOT / "packaging" / "monitoring"
RULES = MONITORING / "rollcall.rules.yml"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
needs_prometheus = unittest.skipUnless(
    PROMTOOL and PROMETHEUS, "promtool or prometheus is missing: apt-get install prometheus")

DAY = 86400
# Each alert: a series at which it fires, after so long, and one at which it never does. Values are as
# promtool writes them, one a minute: "1x60" stays 1 for an hour, "0+2x60" grows by 2 each minute.
ALERTS = {
    "RollcallDaemonDown": ('up{job="rollcall-sidecar"}', "0x60", "1x60", 5),
    "RollcallWorkerUnreachable": ('rollcall_worker_lease{node="w1",status="lapsed"}',
                                  "1x60", "0x60", 5),
    "RollcallMassExpiryWaits": ('rollcall_worker_lease{node="w1",status="held"}',
                                "1x60", "0x60", 1),
    "RollcallWorkerBlind": ('rollcall_worker_blind{node="w1"}', "1x60", "0x60", 5),
    "RollcallTablesDiffer": ('rollcall_worker_agreement{node="w1",state="differs"}',
                             "1x60", "0 1 1 0 1x10 0x40", 20),
    "RollcallRepairs": ('rollcall_worker_repairs_total{node="w1",cause="missed_open"}',
                        "0+1x60", "5x60", 40),
    "RollcallBacklogOld": ("rollcall_sidecar_oldest_unacked_seconds", "0+60x60", "200x60", 20),
    "RollcallStoreFailing": ("rollcall_store_failing", "1x60", "0x60", 5),
    "RollcallStoreDiskLow": ("rollcall_store_free_bytes", "1000x60", "1000000000x60", 10),
    "RollcallLogOverBudget": ('rollcall_store_size_bytes{job="m",instance="i"}',
                              "2000x60", "1050x60", 50),
    "RollcallCertificateExpires30Days": ("rollcall_certificate_expiry_timestamp_seconds",
                                         f"{20 * DAY}x60", f"{40 * DAY}x60", 5),
    "RollcallCertificateExpires7Days": ("rollcall_certificate_expiry_timestamp_seconds",
                                        f"{5 * DAY}x60", f"{20 * DAY}x60", 5),
    "RollcallCertificateExpires1Day": ("rollcall_certificate_expiry_timestamp_seconds",
                                       f"{DAY // 2}x60", f"{5 * DAY}x60", 5),
    "RollcallReloadFailed": ("rollcall_reload_failing", "1x60", "0 1 1 0x60", 10),
    "RollcallAgentsContested": ("rollcall_master_agents_contested", "1x60", "0x60", 10),
    "RollcallSinkStopped": ("rollcall_sink_stopped", "1x60", "0 1 1 0x60", 10),
    "RollcallSinkRefused": ('rollcall_sink_corrections_total{result="refused"}',
                            "0+1x60", "7x60", 20),
    "RollcallClockError": ("rollcall_sidecar_clock_error_seconds", "3x60", "0.01x60", 10),
    "RollcallClockUnknown": ("rollcall_sidecar_clock_known", "0x60", "1x60", 10),
    "RollcallSourceErrors": ("rollcall_sidecar_source_failures_total", "0+10x60", "3x60", 20),
    "RollcallSourceSlow": ("rollcall_sidecar_source_look_seconds_sum", "0+60x60", "0+1x60", 30),
    "RollcallCommitsSlow": ('rollcall_commit_duration_seconds_bucket{le="0.1"}',
                            "0x60", "0+10x60", 30),
    "RollcallConnectionsRefused": ("rollcall_master_connections_refused_total",
                                   "0+1x60", "3x60", 30),
}
# What some of these are compared with.
BESIDE = {
    "RollcallLogOverBudget": {'rollcall_master_log_limit_bytes{job="m",instance="i"}': "1000x60"},
    "RollcallSourceSlow": {"rollcall_sidecar_source_look_seconds_count": "0+20x60"},
    "RollcallCommitsSlow": {'rollcall_commit_duration_seconds_bucket{le="5"}': "0+10x60",
                            'rollcall_commit_duration_seconds_bucket{le="+Inf"}': "0+10x60"},
}


def played(alert):
    """promtool's tests of one alert: it fires, and it does not."""
    series, fires, rests, minutes = ALERTS[alert]
    for values, expected in ((fires, [{"labels": "{}", "value": 1}]), (rests, [])):
        beside = BESIDE.get(alert, {})
        yield {"interval": "1m",
               "input_series": [{"series": s, "values": v}
                                for s, v in {**beside, series: values}.items()],
               "promql_expr_test": [{
                   "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                   "eval_time": f"{minutes}m", "exp_samples": expected}]}


def dashboard():
    return json.loads((MONITORING / "rollcall-dashboard.json").read_text())


def queries():
    """{title of a panel: its queries}, as Grafana would send them."""
    found = {}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            found.setdefault(panel["title"], []).append(
                target["expr"].replace("$node", ".*").replace("$__rate_interval", "1m"))
    return found


def alerts():
    return re.findall(r"- alert: (\w+)", RULES.read_text())


class Names(unittest.TestCase):
    def test_rules_and_dashboard_name_only_what_is_documented(self):
        listed = set().union(*documented().values())
        for text in (RULES.read_text(), *sum(queries().values(), [])):
            for name in re.findall(r"\b(?:rollcall|process)_[a-z_]+", text):
                family = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertIn(family, listed)

    def test_each_alert_has_a_severity_a_word_and_a_case(self):
        self.assertEqual(set(alerts()), set(ALERTS))
        text = RULES.read_text()
        for part in "severity:", "summary:", "description:":
            self.assertEqual(text.count(part), len(ALERTS), part)
        told = (ROOT / "docs" / "operations.md").read_text()
        for alert in alerts():
            self.assertIn(f"`{alert}`", told)

    def test_no_two_panels_of_the_dashboard_are_one(self):
        panels = dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
        self.assertEqual(len(set(places)), len(places))


@needs_prometheus
class Promtool(unittest.TestCase):
    def run_promtool(self, *arguments, text=None):
        done = subprocess.run([PROMTOOL, *map(str, arguments)], input=text, capture_output=True,
                              text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_rules_and_configuration_are_well_formed(self):
        self.run_promtool("check", "rules", RULES)
        self.run_promtool("check", "config", MONITORING / "prometheus.yml")

    def test_each_alert_fires_when_it_should_and_only_then(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "tests.yml"
            file.write_text(json.dumps({  # JSON is YAML too
                "rule_files": [str(RULES)], "evaluation_interval": "1m",
                "tests": [test for alert in ALERTS for test in played(alert)]}))
            self.run_promtool("test", "rules", file)


class Prometheus:
    """A real one, in a folder of its own, that scrapes these daemons every second."""

    def __init__(self, folder, targets):
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                  "rule_files": [str(RULES)],
                  "scrape_configs": [{"job_name": job, "static_configs": [{"targets": addresses}]}
                                     for job, addresses in targets.items()]}
        folder.mkdir()
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.daemon = Daemon("prometheus", [
            PROMETHEUS, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:0"], folder / "log", "Listening on").start()
        self.url = "http://127.0.0.1:" + re.search(r"address=\S+:(\d+)", self.daemon.said)[1]

    def ready(self):
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=10):
                return True
        except urllib.error.HTTPError:  # it reads its own files first
            return False

    def close(self):
        self.daemon.end()
        self.daemon.ended(20)

    def get(self, path, **query):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except OSError as error:
            raise Failure(f"{url}: {error}") from error

    def ask(self, query):
        return self.get("query", query=query)["result"]


@needs_prometheus
class Scraped(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().begin()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.until_all_are_on("w1", range(1, 6))
        cls.cluster.agents.move(1, "w2")
        cls.cluster.until_right()
        address = {name: http.url.removeprefix("http://")
                   for name, http in cls.cluster.http.items()}
        cls.prometheus = Prometheus(cls.cluster.folder / "prometheus", {
            "rollcall-master": [address["master"]],
            "rollcall-sidecar": [address["w1"], address["w2"]]})
        cls.addClassCleanup(cls.prometheus.close)
        cls.cluster.until("Prometheus is ready", cls.prometheus.ready)
        cls.cluster.until("all are scraped twice", lambda: cls.prometheus.ask(
            'min(count_over_time(up[1m])) >= 2 and min(up) == 1 and count(up) == 3'))

    def test_promtool_has_nothing_to_say_against_what_is_exported(self):
        for name in "master", "w1":
            done = subprocess.run([PROMTOOL, "check", "metrics"], capture_output=True, text=True,
                                  input=Metrics.of(self.cluster.http[name].url).text, check=False,
                                  timeout=60)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_it_answers_what_the_master_says(self):
        status = self.cluster.status("master")
        active = self.prometheus.ask('rollcall_master_agents{status="active"}')
        self.assertEqual(float(active[0]["value"][1]), status["active"])
        unacked = self.prometheus.ask("rollcall_sidecar_unacked_events")
        self.assertEqual([float(one["value"][1]) for one in unacked], [0, 0])

    def test_it_answers_all_queries_of_the_dashboard(self):
        # Nothing to show, in a cluster in which all is well.
        empty = {"Lease"}
        for title, exprs in queries().items():
            for expr in exprs:
                found = self.prometheus.ask(expr)
                self.assertEqual(title in empty, not found, (title, expr))

    def test_rules_are_evaluated_and_a_worker_that_falls_silent_is_seen(self):
        def rules():
            return {rule["name"]: rule
                    for group in self.prometheus.get("rules")["groups"] for rule in group["rules"]}
        self.cluster.until("all rules were evaluated", lambda: all(
            rule["health"] == "ok" for rule in rules().values()))
        self.assertEqual(set(rules()), set(ALERTS))
        self.assertEqual({name for name, rule in rules().items() if rule["state"] == "firing"}, set())
        self.cluster.kill("w2")
        alert = self.cluster.until("it is seen", lambda: rules()["RollcallWorkerUnreachable"]["alerts"])
        self.assertEqual(alert[0]["labels"]["node"], "w2")
        self.assertIn("w2", alert[0]["annotations"]["summary"])
        self.cluster.start("w2")


if __name__ == "__main__":
    done = unittest.main(verbosity=2, exit=False).result
    for _, why in done.skipped:
        print(f"skipped: {why}")
    sys.exit(not done.wasSuccessful())
