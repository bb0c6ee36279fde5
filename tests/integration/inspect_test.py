#!/usr/bin/env python3
"""The pages of real daemons: readiness on the way up, the refusals of the HTTP side on both ports, two
hundred slow clients, and a history that outlives the master."""

import http.client
import json
import pathlib
import socket
import subprocess
import unittest

from cluster import PROGRAMS, Cluster

AGENTS = list(range(1, 6))


class Inspect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=("w1", "w2"), master_store={"snapshot_every": 100000})
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start("master")
        cls.cluster.start("w1")  # without its wazuh-db
        cls.why_before = cls.why_not_ready("w1")
        for worker in ("w1", "w2"):
            cls.cluster.start(cls.cluster.standin_of(worker))
        cls.cluster.start("w2")
        for worker in ("w1", "w2"):
            cls.cluster.until(f"{worker} is ready", lambda worker=worker: cls.ready(worker))
        cls.cluster.agents.enroll(AGENTS)
        for id in AGENTS:
            cls.cluster.agents.connect(id, "w1")
        cls.cluster.until_right()

    # One daemon.

    @classmethod
    def ask(cls, name, text):
        """The status and the JSON that come back for these bytes, in a connection of their own."""
        with socket.create_connection(("127.0.0.1", cls.cluster.daemons[name].port("inspect")),
                                      timeout=20) as peer:
            peer.sendall(text)
            answer = http.client.HTTPResponse(peer)
            answer.begin()
            return answer.status, json.loads(answer.read())

    @classmethod
    def get(cls, name, path):
        return cls.ask(name, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    @classmethod
    def ready(cls, name):
        return cls.get(name, "/readyz") == (200, {"status": "ready"})

    @classmethod
    def why_not_ready(cls, name):
        status, body = cls.get(name, "/readyz")
        assert status == 503 and body["status"] == "not ready", (status, body)
        return body["why"]

    def test_a_sidecar_is_not_ready_before_it_has_looked(self):
        self.assertIn("the source was not looked at as a whole yet", self.why_before)
        self.assertTrue(self.ready("master"))

    def test_what_is_refused_is_refused_by_both(self):
        for name in ("master", "w1"):
            for text, status in (
                    (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
                    (b"GET /healthz HTTP/1.1\r\nHost: evil.example:9472\r\n\r\n", 403),
                    (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
                    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
                    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", 400),
                    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                     b"0\r\n\r\n", 400),
                    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity\r\n\r\n",
                     400),
                    (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\n\r\n", 400),
                    (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
                    (b"GET /healthz?verbose=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400)):
                with self.subTest(name=name, text=text):
                    got, body = self.ask(name, text)
                    self.assertEqual(got, status, body)
                    self.assertEqual(list(body), ["error"])

    def test_two_hundred_slow_clients_do_not_stop_healthz(self):
        for name in ("master", "w1"):
            address = ("127.0.0.1", self.cluster.daemons[name].port("inspect"))
            for i in range(200):
                slow = socket.create_connection(address, timeout=20)
                self.addCleanup(slow.close)
                slow.sendall((b"", b"G", b"GET /agents HTTP/1.1\r\nHost: loc",
                              b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1")[i % 4])
            for _ in range(20):
                self.assertEqual(self.get(name, "/healthz"), (200, {"status": "ok"}))

    def test_sync_of_a_sidecar_that_has_told_everything(self):
        self.cluster.until("all is acked", self.cluster.quiet)
        sync = self.get("w1", "/sync")[1]
        self.assertIsNone(sync["oldest_us"])
        self.assertGreater(sync["last_ack"]["seq"], 0)
        self.assertEqual(sync["link"]["state"], "streaming")
        self.assertTrue(sync["clock"]["known"])
        self.assertGreater(sync["clock"]["error_us"], 0)
        self.assertTrue(sync["source"]["looked_at_all"])
        self.assertGreaterEqual(sync["source"]["last_look"]["requests"], 1)

    def test_filters_find_the_agents_of_a_node_and_of_a_name(self):
        def ids(query):
            return [agent["id"] for agent in self.get("master", f"/agents?{query}")[1]["agents"]]
        self.cluster.until("the names are known", lambda: len(ids("name=agent-*")) == len(AGENTS))
        self.assertEqual(ids("node=w1&status=active&limit=1000"), AGENTS)
        self.assertEqual(ids("node=w2"), [])
        self.assertEqual(ids("name=agent-003"), [3])

    def test_the_master_asks_for_huge_pages_and_keeps_its_name(self):
        process = pathlib.Path("/proc") / str(self.cluster.daemons["master"].process.pid)
        tunables = [v for v in (process / "environ").read_bytes().split(b"\0")
                    if v.startswith(b"GLIBC_TUNABLES=")]
        self.assertEqual(tunables, [b"GLIBC_TUNABLES=glibc.malloc.hugetlb=1"])
        self.assertEqual((process / "comm").read_text().strip(), "rollcall-master")

    def test_a_history_outlives_the_master(self):
        cluster = self.cluster
        before = self.get("master", "/agents/1/history")[1]
        self.assertTrue(before["complete"])
        self.assertEqual(before["decisions"][-1]["rule"], "first")
        cluster.kill("master")
        cluster.start("master")
        cluster.until("the master answers", lambda: self.ready("master"))
        after = self.get("master", "/agents/1/history")[1]
        self.assertTrue(after["complete"])
        known = [(d["at"], d["node"], d["seq"], d["rule"], d["version"], d["met"])
                 for d in after["decisions"]]
        for d in before["decisions"]:
            self.assertIn((d["at"], d["node"], d["seq"], d["rule"], d["version"], d["met"]), known)


class Closed(Cluster):
    """Who reads shows the token, too."""

    MORE_OF_MASTER = {"inspect": {"read_token": "true"}}
    MORE_OF_SIDECARS = MORE_OF_MASTER

    def _prepare(self, of_master):
        super()._prepare(of_master)
        for name, asked in self.http.items():
            asked.token = self.stores[name] / "token"


class ReadToken(unittest.TestCase):
    PAGES = {"master": ("/status", "/agents", "/agents/1", "/agents/1/history", "/agents/1/why",
                        "/nodes", "/decisions", "/events?after=newest", "/events?stream=1",
                        "/contested", "/migrations", "/agents/1/migrations", "/balance", "/sink", "/metrics",
                        "/live", "/log"),
             "w1": ("/status", "/sync", "/agents", "/agents/1", "/agents/1/why", "/handoffs",
                    "/metrics", "/live", "/log")}

    @classmethod
    def setUpClass(cls):
        cls.cluster = Closed(workers=("w1",))
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.begin()
        cls.cluster.agents.enroll(AGENTS)
        for id in AGENTS:
            cls.cluster.agents.connect(id, "w1")
        cls.cluster.until_right()

    def status(self, name, path, token=None, method="GET"):
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.cluster.daemons[name].port("inspect"), timeout=20)
        self.addCleanup(connection.close)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, headers=headers)
        return connection.getresponse().status

    def token(self, name):
        return (self.cluster.stores[name] / "token").read_text().strip()

    def test_all_but_health_needs_the_token(self):
        for name, pages in self.PAGES.items():
            for path in pages:
                with self.subTest(name=name, path=path):
                    self.assertEqual(self.status(name, path), 401)
                    self.assertEqual(self.status(name, path, method="HEAD"), 401)
                    self.assertEqual(self.status(name, path, "0" * 64), 403)
                    self.assertEqual(self.status(name, path, self.token(name)), 200)
            for path in "/healthz", "/readyz", "/", "/page/common.js":
                self.assertEqual(self.status(name, path), 200)
        self.assertEqual(self.status("w1", "/status", self.token("master")), 403, "another daemon's")

    def run_cli(self, *arguments, status=0):
        done = subprocess.run([PROGRAMS["rollcall"], *map(str, arguments)], capture_output=True,
                              text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, status, (arguments, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def test_the_tool_shows_it_by_itself(self):
        for name, option in ("master", "--master"), ("w1", "--sidecar"):
            url = self.cluster.http[name].url
            at = option, url, "--config", self.cluster.folder / f"{name}.ini"
            self.assertIn("agents", self.run_cli("status", *at))
            self.assertEqual(len(self.run_cli("agents", *at).splitlines()), 1 + len(AGENTS))
            self.assertTrue(self.run_cli("why", 1, *at))
            # Without a configuration it has to be told where the token is.
            said = self.run_cli("status", option, url, "--token", "/missing", status=1)
            self.assertIn("/missing", said)
            self.assertIn("--token", said)
            self.assertTrue(self.run_cli("status", option, url, "--token",
                                         self.cluster.stores[name] / "token"))
        at = "--master", self.cluster.http["master"].url, "--config", (
            self.cluster.folder / "master.ini")
        for command in "nodes", "events", "contested", "migrations", "balance":
            self.assertTrue(self.run_cli(command, *at), command)


if __name__ == "__main__":
    unittest.main(verbosity=2)
