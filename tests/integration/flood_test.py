#!/usr/bin/env python3
"""Peers with a valid certificate that send too much, too big or too long, and a thousand without one:
each is cut off, the master's memory stays within what docs/operations.md says of one peer, and the
other worker goes on."""

import os
import pathlib
import re
import resource
import socket
import struct
import threading
import time
import unittest

from peer import MALFORMED, MAX_PAYLOAD, PROTOCOL, PeerTest, hello
from wire import ACK, DELTA, ERROR, HEARTBEAT, OPENED, frame

UNKNOWN_TYPE = 8
INFO = 2
MB = 1 << 20
# docs/operations.md, "Memory for each worker": of one connection, at its worst.
PEER_MB = 12
# Everything else that goes on in the master meanwhile.
SLACK_MB = 64


class Flood(PeerTest):
    def memory_mb(self, field="VmHWM"):
        """Of the master; by default the most it ever took."""
        pid = self.cluster.daemons["master"].process.pid
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", text)[1]) / 1024

    def assert_memory(self, before_mb, peers):
        if os.environ.get("ROLLCALL_SANITIZE"):
            return  # a sanitizer keeps what is freed
        grown = self.memory_mb() - before_mb
        self.assertLess(grown, peers * PEER_MB + SLACK_MB, f"MB for {peers} peers")

    def send_until_closed(self, peer, data, seconds=60):
        peer.settimeout(seconds)
        with self.assertRaises(OSError):
            while True:
                peer.sendall(data)

    def test_heartbeats_whose_answers_nobody_reads(self):
        before = self.memory_mb("VmRSS")
        peer, _ = self.welcomed()
        self.send_until_closed(peer, frame(HEARTBEAT, {1: 0, 3: 1}) * 4000)
        self.assert_others_go_on()
        self.assert_one_line("does not take what is sent to it")
        self.assert_memory(before, 1)

    def test_unknown_messages(self):
        peer, _ = self.welcomed()
        peer.sendall(frame(99, {}) * 101)
        for _ in range(100):
            type, body = self.read_frame(peer)
            self.assertEqual((type, body[1]), (ERROR, UNKNOWN_TYPE))
        self.assert_error(peer, PROTOCOL, "more than 100 messages that mean nothing")
        self.assert_closed(peer)
        self.assert_one_line("mean nothing.*code=protocol.*node=w1")
        self.assert_others_go_on()

    def test_complaints(self):
        peer, _ = self.welcomed()
        peer.sendall(frame(ERROR, {1: 1, 2: "so many complaints", 3: False}) * 101)
        self.assert_error(peer, PROTOCOL, "more than 100 messages that mean nothing")
        self.assert_closed(peer)
        said = "\n".join(self.cluster.said_since("master", self.mark))
        self.assertLess(said.count("so many complaints"), 40, "the log is spared")
        self.assert_others_go_on()

    def test_frames_without_end(self):
        """As fast as this test can: each is decided and acked, and the others are served."""
        peer, welcome = self.welcomed()
        before = self.memory_mb("VmRSS")
        ending = threading.Event()

        def events(first):
            return b"".join(
                frame(DELTA, {1: seq, 2: seq, 3: [[25, welcome[12], seq,
                                                   OPENED if seq == 1 else INFO, 0, 1]]})
                for seq in range(first, first + 500))

        def read():
            while not ending.is_set():
                type, body = self.read_frame(peer)
                acked.append(body[1] if type == ACK else (type, body))
                if acked[-1] == last:
                    return

        def others_go_on():
            try:
                self.assert_others_go_on()
            except Exception as failure:  # told by the main thread
                failures.append(failure)

        acked, last, seq, failures = [], None, 1, []
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        until = time.monotonic() + 3
        others = threading.Thread(target=others_go_on)
        others.start()
        while time.monotonic() < until or others.is_alive():
            peer.sendall(events(seq))
            seq += 500
        others.join()
        self.assertEqual(failures, [])
        last = seq - 1
        self.cluster.until("all is acked", lambda: acked and acked[-1] == last, 30)
        ending.set()
        reader.join(10)
        self.assertEqual(acked, sorted(acked))
        self.assert_memory(before, 1)
        self.leave(peer)

    def test_half_frames_of_many_connections(self):
        before = self.memory_mb("VmRSS")
        peers = [self.tls() for _ in range(40)]
        for peer in peers:
            peer.sendall(struct.pack(">I", MAX_PAYLOAD) + b"\x92" * (MAX_PAYLOAD - 1))
        self.assert_others_go_on()
        for peer in peers:
            self.assert_closed(peer)  # after a TTL without a message
        self.assert_memory(before, len(peers))

    def test_nested_and_oversized_msgpack(self):
        before = self.memory_mb("VmRSS")
        payloads = {
            "arrays in arrays": b"\x91" * 1000 + b"\x01",
            "maps in maps": b"\x81\x01" * 1000 + b"\x01",
            "an array of 4 G values": b"\xdd\xff\xff\xff\xff",
            "a map of 4 G pairs": b"\xdf\xff\xff\xff\xff",
            "a string of 4 GB": b"\xdb\xff\xff\xff\xff",
            "bytes of 4 GB": b"\xc6\xff\xff\xff\xff",
            "an extension": b"\xc9\xff\xff\xff\xff\x01",
            "a million values": b"\xdd" + struct.pack(">I", 1_000_000) + b"\xc0" * 1_000_000,
            "many arrays of many": b"\xdd" + struct.pack(">I", 100_000) + b"\xdd\x00\x01\xff\xff" * 9,
            "two values": b"\x92\x07\x80\x92\x07\x80",
            "no value": b"\xc1",
        }
        for name, payload in payloads.items():
            with self.subTest(name):
                self.mark = self.cluster.mark("master")
                peer, _ = self.welcomed()
                peer.sendall(struct.pack(">I", len(payload)) + payload)
                self.assert_error(peer, MALFORMED, ".")
                self.assert_closed(peer)
                self.assert_one_line("code=malformed.*node=w1")
                self.cluster.until("w1 is gone", lambda: not self.w1_connected(), 10)
        self.assert_others_go_on()
        self.assert_memory(before, 4)  # and what decoding one frame takes

    def test_a_name_is_given_once(self):
        peer, _ = self.welcomed()
        peer.sendall(hello("w2"))
        self.assert_error(peer, PROTOCOL, "a second HELLO")
        self.assert_closed(peer)
        self.assert_one_line("a second HELLO.*code=protocol.*node=w1")
        self.assert_others_go_on()

    def test_a_thousand_connections_at_once_that_say_nothing(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 1200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(1200, hard), hard))
        before = self.memory_mb("VmRSS")
        silent = []
        for _ in range(1000):
            peer = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            self.addCleanup(peer.close)
            silent.append(peer)
        self.assert_others_go_on()
        peer, _ = self.welcomed()  # and newcomers get in
        self.leave(peer)
        slow = self.cluster.http["master"].get("/status")["listener"]["too_slow"]
        for peer in silent:
            peer.settimeout(20)
            self.assertEqual(peer.recv(1), b"")
        counted = self.cluster.http["master"].get("/status")["listener"]["too_slow"]
        self.assertGreaterEqual(counted - slow, 900)
        self.assert_memory(before, 0)

    def leave(self, peer):
        peer.close()
        self.cluster.until("w1 is gone", lambda: not self.w1_connected(), 10)


if __name__ == "__main__":
    unittest.main()
