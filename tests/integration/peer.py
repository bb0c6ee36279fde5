"""What tests of bad peers share: a cluster whose worker w2 is honest, and the certificate of w1 for
the peer that is not."""

import socket
import ssl
import struct
import time
import unittest

from cluster import Cluster, fields_of
from wire import DELTA, ERROR, HELLO, OPENED, WELCOME, frame, unpack

MALFORMED, PROTOCOL, NAME, RESERVED_CHANGE = 1, 2, 5, 12
MAX_PAYLOAD = 1 << 20


def hello(node, store=77, stream=78):
    return frame(HELLO, {1: 1, 2: 1, 3: "wazuh", 4: node, 5: "another-machine", 6: store,
                         7: stream, 15: "test", 16: time.monotonic_ns() // 1000})


def delta(agent, epoch, change=0, first_seq=1):
    return frame(DELTA, {1: first_seq, 2: first_seq,
                         3: [[agent, epoch, change, OPENED, 0, 1_000_000]]})


class PeerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=("w1", "w2"), heartbeat="1s", ttl="6s")
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start("master")
        cls.cluster.start(cls.cluster.standin_of("w2"))
        cls.cluster.start(cls.cluster.standin_of("w1"))
        cls.cluster.start("w2")  # the certificate of w1 is for the tests
        cls.cluster.until("w2 is connected", lambda: cls.cluster.streaming("w2"))
        cls.cluster.agents.enroll(list(range(1, 30)))
        cls.next_agent = 1
        cls.evil = cls.cluster.folder / "evil"
        cls.cluster.tool("pki", "init", "--dir", cls.evil, "--cluster", "evil")
        cls.cluster.tool("pki", "issue", "w1", "--dir", cls.evil)

    def setUp(self):
        self.port = self.cluster.daemons["master"].port("listen")
        self.mark = self.cluster.mark("master")
        self.since = self.cluster.http["master"].get("/status")["master_time"]

    # The peer.

    def tcp(self):
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.addCleanup(peer.close)
        self.name = "%s:%d" % peer.getsockname()
        return peer

    def tls(self, pki=None, certificate="w1"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        pki = pki or self.cluster.pki
        if certificate:
            context.load_cert_chain(pki / f"{certificate}.crt", pki / f"{certificate}.key")
        peer = context.wrap_socket(self.tcp(), server_hostname="master")
        self.addCleanup(peer.close)
        return peer

    def read_frame(self, peer):
        def exactly(count):
            data = b""
            while len(data) < count:
                more = peer.recv(count - len(data))
                if not more:
                    raise ConnectionError("closed inside a frame")
                data += more
            return data
        (length,) = struct.unpack(">I", exactly(4))
        return unpack(exactly(length))

    def welcomed(self, node="w1"):
        peer = self.tls(certificate=node)
        peer.sendall(hello(node))
        type, body = self.read_frame(peer)
        self.assertEqual(type, WELCOME, body)
        return peer, body

    def assert_error(self, peer, code, text):
        type, body = self.read_frame(peer)
        self.assertEqual((type, body.get(1)), (ERROR, code), body)
        self.assertRegex(body[2], text)

    def assert_closed(self, peer):
        began = time.monotonic()
        try:
            while peer.recv(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return time.monotonic() - began

    # The others.

    def assert_one_line(self, text):
        """Exactly one line of warning about this peer, and it says that."""
        def lines():
            return [line for line in self.cluster.said_since("master", self.mark)
                    if fields_of(line).get("peer") == self.name and (
                        " WARN " in line or " ERROR " in line)]
        self.cluster.until(f"a line about {self.name}", lines, 20)
        time.sleep(0.2)
        (line,) = lines()
        self.assertRegex(line, text)
        self.assertLess(len(line), 500)

    def assert_others_go_on(self):
        """Agents of the other worker come and go, and are decided."""
        agent = type(self).next_agent
        type(self).next_agent += 1
        self.cluster.agents.connect(agent, "w2")
        self.cluster.until("a new agent of w2 is decided", lambda: self.cluster.answers().get(
            agent) == ("active", "w2"), 10)
        self.cluster.agents.goodbye(agent)
        self.cluster.until("its goodbye is decided", lambda: self.cluster.answers().get(
            agent) == ("disconnected", None), 10)
        (w2,) = [n for n in self.cluster.http["master"].get("/nodes")["nodes"]
                 if n["node"] == "w2"]
        connected_since = self.cluster.http["master"].get("/status")["master_time"] - w2[
            "connected_for_us"]
        self.assertTrue(w2["connected"])
        self.assertLess(connected_since, self.since, "w2 had to connect again")

    def w1_connected(self):
        return any(node["connected"] for node in self.cluster.http["master"].get("/nodes")["nodes"]
                   if node["node"] == "w1")
