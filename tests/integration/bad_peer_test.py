#!/usr/bin/env python3
"""What a bad peer can send to the master: each costs that peer its connection, and one clear line in
the master's log that names it. The other worker goes on: a move while it happens is decided."""

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


class BadPeer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(workers=("w1", "w2"), heartbeat="1s", ttl="3s")
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
        agent = BadPeer.next_agent
        BadPeer.next_agent += 1
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

    # What it does.

    def test_plain_garbage(self):
        peer = self.tcp()
        peer.sendall(b"GET / HTTP/1.1\r\nHost: master\r\n\r\n")
        self.assert_others_go_on()
        self.assert_closed(peer)
        self.assert_one_line("TLS|handshake|http")

    def test_binary_garbage(self):
        peer = self.tcp()
        peer.sendall(bytes(range(256)) * 64)
        self.assert_others_go_on()
        self.assert_closed(peer)
        self.assert_one_line("TLS|handshake|record|version")

    def test_a_connection_that_says_nothing(self):
        peer = self.tcp()
        self.assert_others_go_on()
        self.assertLess(self.assert_closed(peer), 15)
        self.assert_one_line("handshake")

    def test_tls_and_then_nothing(self):
        peer = self.tls()
        self.assert_others_go_on()
        self.assertLess(self.assert_closed(peer), 10)
        self.assert_one_line("nothing heard for a TTL")

    def test_a_huge_length(self):
        for length in (MAX_PAYLOAD + 1, 0xFFFFFFFF):
            self.mark = self.cluster.mark("master")
            peer = self.tls()
            peer.sendall(struct.pack(">I", length))
            self.assert_others_go_on()
            self.assert_error(peer, MALFORMED, str(length))
            self.assert_closed(peer)
            self.assert_one_line(f"code=malformed.*node=w1")

    def test_a_length_of_nothing(self):
        peer = self.tls()
        peer.sendall(struct.pack(">I", 0))
        self.assert_error(peer, MALFORMED, "0|empty")
        self.assert_closed(peer)
        self.assert_one_line("code=malformed.*node=w1")
        self.assert_others_go_on()

    def test_half_a_frame_and_the_end(self):
        peer, _ = self.welcomed()
        whole = delta(25, 1_700_000_000_000_000)
        peer.sendall(whole[:len(whole) // 2])
        peer.close()
        self.assert_others_go_on()
        self.cluster.until("the master has noticed", lambda: not self.w1_connected(), 10)
        self.assertNotIn(25, self.cluster.answers())

    def test_garbage_in_a_frame(self):
        peer, _ = self.welcomed()
        peer.sendall(struct.pack(">I", 100) + b"\xc1" * 100)
        self.assert_others_go_on()
        self.assert_error(peer, MALFORMED, ".")
        self.assert_closed(peer)
        self.assert_one_line("code=malformed.*node=w1")

    def test_a_delta_that_is_not_one(self):
        peer, _ = self.welcomed()
        peer.sendall(frame(DELTA, {1: 1, 3: [[25, 1_700_000_000_000_000, 0, OPENED, 5, -5]]}))
        self.assert_error(peer, MALFORMED, "DELTA.*lo is after hi")
        self.assert_closed(peer)
        self.assert_one_line("DELTA.*lo is after hi.*code=malformed.*node=w1")
        self.assert_others_go_on()

    def test_a_certificate_of_another_ca(self):
        try:
            peer = self.tls(pki=self.evil)
            peer.sendall(hello("w1"))
            self.assert_closed(peer)
        except (ssl.SSLError, ConnectionError):
            pass  # refused at once, also right
        self.assert_others_go_on()
        self.assert_one_line("certificate")

    def test_no_certificate(self):
        try:
            peer = self.tls(certificate=None)
            peer.sendall(hello("w1"))
            self.assert_closed(peer)
        except (ssl.SSLError, ConnectionError):
            pass
        self.assert_others_go_on()
        self.assert_one_line("certificate")

    def test_another_node_s_name(self):
        peer = self.tls()
        peer.sendall(hello("w2"))
        self.assert_error(peer, NAME, "calls itself 'w2', which is not in its certificate")
        self.assert_closed(peer)
        self.assert_one_line("calls itself 'w2'.*code=name.*node=w1")
        self.assert_others_go_on()

    def test_a_delta_before_hello(self):
        peer = self.tls()
        peer.sendall(delta(25, 1_700_000_000_000_000))
        self.assert_error(peer, PROTOCOL, "DELTA before HELLO")
        self.assert_closed(peer)
        self.assert_one_line("DELTA before HELLO.*code=protocol.*node=w1")
        self.assert_others_go_on()
        self.assertNotIn(25, self.cluster.answers())

    def test_a_change_that_is_the_master_s(self):
        for change in (2**31, 2**32 - 1):
            self.mark = self.cluster.mark("master")
            peer, _ = self.welcomed()
            peer.sendall(delta(25, 1_700_000_000_000_000, change))
            self.assert_error(peer, RESERVED_CHANGE, f"agent 25: change {change}")
            self.assert_closed(peer)
            self.assert_one_line("agent 25: change.*code=reserved_change.*node=w1")
            self.cluster.until("w1 is gone", lambda: not self.w1_connected(), 10)
        self.assert_others_go_on()
        self.assertNotIn(25, self.cluster.answers())

    def test_an_epoch_of_tomorrow_holds_no_agent(self):
        peer, body = self.welcomed()
        peer.sendall(delta(26, body[12] + 86_400_000_000))
        type, ack = self.read_frame(peer)
        self.assertEqual((type, ack[1]), (4, 1))
        self.assertEqual(ack[2], [[1, 26, 3]])
        self.assertNotIn(26, self.cluster.answers())
        peer.close()
        self.cluster.until("w1 is gone", lambda: not self.w1_connected(), 10)
        self.assert_others_go_on()

    def w1_connected(self):
        return any(node["connected"] for node in self.cluster.http["master"].get("/nodes")["nodes"]
                   if node["node"] == "w1")


if __name__ == "__main__":
    unittest.main()
