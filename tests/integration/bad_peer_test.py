#!/usr/bin/env python3
"""What a bad peer can send to the master: each costs that peer its connection, and one clear line in
the master's log that names it. The other worker goes on: a move while it happens is decided."""

import ssl
import struct
import unittest

from peer import (MALFORMED, MAX_PAYLOAD, NAME, PROTOCOL, RESERVED_CHANGE, PeerTest, delta, hello)
from wire import DELTA, OPENED, frame


class BadPeer(PeerTest):
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


if __name__ == "__main__":
    unittest.main()
