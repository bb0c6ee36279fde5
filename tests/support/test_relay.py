"""relay.py between a plain client and a plain echo server."""

import pathlib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import Relay  # noqa: E402

PATIENCE = 20.0
SILENCE = 0.15  # long enough to believe that nothing comes


class EchoServer:
    """Answers each byte with itself, and the end of the stream with the end."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(client,), daemon=True).start()

    @staticmethod
    def _echo(client):
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class RelayTest(unittest.TestCase):
    def setUp(self):
        self.server = EchoServer()
        self.addCleanup(self.server.close)
        self.relay = Relay(target=self.server.address)
        self.addCleanup(self.relay.stop)

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.relay.port), timeout=PATIENCE)
        self.addCleanup(client.close)
        return client

    def receive(self, client, count):
        data = b""
        while len(data) < count:
            more = client.recv(count - len(data))
            if not more:
                break
            data += more
        return data

    def eventually(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, "it never came true")
            time.sleep(0.005)

    def assert_silent(self, client):
        client.settimeout(SILENCE)
        with self.assertRaises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)

    def test_passes_bytes_both_ways_and_counts_them(self):
        client = self.connect()
        client.sendall(b"hello")
        self.assertEqual(self.receive(client, 5), b"hello")
        self.assertEqual(self.relay.bytes, {"up": 5, "down": 5})
        self.assertEqual((self.relay.accepted, self.relay.connections), (1, 1))

    def test_passes_much_data_unharmed(self):
        client = self.connect()
        data = bytes(i * 7 % 251 for i in range(3_000_000))
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        self.assertEqual(self.receive(client, len(data)), data)
        sender.join()

    def test_passes_the_end_of_a_stream_and_leaves_the_other_direction_open(self):
        client = self.connect()
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.receive(client, 100), b"last words")
        self.eventually(lambda: self.relay.connections == 0)

    def test_held_bytes_arrive_in_order_after_the_release(self):
        for direction in ("up", "down"):
            with self.subTest(direction):
                client = self.connect()
                self.relay.hold(direction)
                client.sendall(b"one ")
                self.eventually(lambda: self.relay.waiting[direction] == 4)
                client.sendall(b"two ")
                self.assert_silent(client)
                self.eventually(lambda: self.relay.waiting[direction] == 8)
                self.relay.release(direction)
                client.sendall(b"three")
                self.assertEqual(self.receive(client, 13), b"one two three")
                self.assertEqual(self.relay.waiting, {"up": 0, "down": 0})

    def test_a_hold_keeps_the_end_of_a_stream_too(self):
        client = self.connect()
        self.relay.hold("down")
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        self.assert_silent(client)
        self.relay.release("down")
        self.assertEqual(self.receive(client, 2), b"x")

    def test_a_delay_is_kept_and_a_shorter_one_does_not_overtake(self):
        client = self.connect()
        self.relay.delay("up", 0.3)
        begin = time.monotonic()
        client.sendall(b"slow ")
        self.eventually(lambda: self.relay.waiting["up"] == 5)
        self.relay.delay("up", 0)
        client.sendall(b"fast")
        self.assertEqual(self.receive(client, 9), b"slow fast")
        self.assertGreaterEqual(time.monotonic() - begin, 0.29)

    def test_cut_closes_all_connections_and_takes_new_ones(self):
        clients = [self.connect() for _ in range(3)]
        for client in clients:
            client.sendall(b"x")
            self.assertEqual(self.receive(client, 1), b"x")
        self.relay.cut()
        for client in clients:
            self.assertEqual(client.recv(1), b"")
        again = self.connect()
        again.sendall(b"y")
        self.assertEqual(self.receive(again, 1), b"y")

    def test_cut_with_a_reset_is_an_error_to_the_client(self):
        client = self.connect()
        client.sendall(b"x")
        self.assertEqual(self.receive(client, 1), b"x")
        self.relay.cut(reset=True)
        with self.assertRaises(ConnectionResetError):
            client.recv(1)

    def test_cut_loses_what_was_held(self):
        client = self.connect()
        self.relay.hold("up")
        client.sendall(b"lost")
        self.eventually(lambda: self.relay.waiting["up"] == 4)
        self.relay.cut()
        self.relay.release("up")
        self.assertEqual(client.recv(1), b"")
        self.assertEqual(self.relay.bytes["up"], 0)

    def test_block_refuses_new_connections_and_leaves_old_ones(self):
        old = self.connect()
        old.sendall(b"a")
        self.assertEqual(self.receive(old, 1), b"a")
        self.relay.block(True)
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        old.sendall(b"b")
        self.assertEqual(self.receive(old, 1), b"b")
        self.relay.block(False)
        new = self.connect()
        new.sendall(b"c")
        self.assertEqual(self.receive(new, 1), b"c")

    def test_a_target_that_refuses_ends_the_clients_connection(self):
        closed = socket.create_server(("127.0.0.1", 0))
        address = closed.getsockname()
        closed.close()
        self.relay.target(*address)
        client = self.connect()
        self.assertEqual(client.recv(1), b"")

    def test_bytes_sent_before_the_target_answered_are_not_lost(self):
        client = self.connect()
        client.sendall(b"early")
        self.assertEqual(self.receive(client, 5), b"early")

    def test_an_unknown_direction_is_an_error(self):
        with self.assertRaises(ValueError):
            self.relay.hold("sideways")


if __name__ == "__main__":
    unittest.main()
