"""A TCP relay that delays, holds and cuts: a bad network between two daemons, in one process.

    with Relay(target=("127.0.0.1", 9000)) as relay:
        connect_to("127.0.0.1", relay.port)
        relay.hold("up")            # bytes to the target wait ...
        relay.release("up")         # ... and go on, in order
        relay.delay("down", 0.5)    # bytes to the client come half a second late
        relay.cut()                 # every connection ends now
        relay.block(True)           # new ones are refused

"up" is from the client to the target, "down" is back, "both" is both. Calls may come from any
thread; each has taken effect when it returns, except that a chunk which the loop has already begun
to send may still arrive. What is held or delayed is kept in memory without a bound.
"""

import selectors
import socket
import struct
import threading
import time
from collections import deque

DIRECTIONS = ("up", "down")
CHUNK_BYTES = 65536


class _Pipe:
    """One direction of one connection: chunks with the times when they are due."""

    def __init__(self, source, sink):
        self.source = source
        self.sink = sink
        self.chunks = deque()  # (read, due, bytes); b"" is the end of the stream
        self.source_open = True
        self.sink_open = True

    def push(self, data, delay):
        read = time.monotonic()
        due = read + delay
        if self.chunks:
            due = max(due, self.chunks[-1][1])  # a shorter delay never overtakes
        self.chunks.append((read, due, data))


class _Connection:
    def __init__(self, client, server):
        self.client = client
        self.server = server
        self.connected = False  # to the target
        self.pipes = {"up": _Pipe(client, server), "down": _Pipe(server, client)}

    def done(self):
        return not any(pipe.sink_open for pipe in self.pipes.values())


class Relay:
    def __init__(self, listen_port=0, target=None, listen_host="127.0.0.1", trace=False):
        if target is None:
            raise ValueError("target is missing: (host, port)")
        self._target = target
        # Never listens; it keeps the port ours while block() has closed the listener.
        self._anchor = self._bound((listen_host, listen_port))
        self._address = self._anchor.getsockname()
        self._listener = self._listening()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._watched = {}  # socket -> events
        self._connections = []
        self._held = {direction: False for direction in DIRECTIONS}
        self._delay = {direction: 0.0 for direction in DIRECTIONS}
        self._bytes = {direction: 0 for direction in DIRECTIONS}
        # With trace=True, of each chunk that was delivered: when it was read, due and delivered.
        self.traced = {direction: [] for direction in DIRECTIONS} if trace else None
        self._accepted = 0
        self._stopping = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    # What a test sees and does.

    @property
    def port(self):
        return self._address[1]

    @property
    def connections(self):
        with self._lock:
            return len(self._connections)

    @property
    def accepted(self):
        with self._lock:
            return self._accepted

    @property
    def bytes(self):
        """Delivered so far: {"up": n, "down": n}."""
        with self._lock:
            return dict(self._bytes)

    @property
    def waiting(self):
        """Received and not yet delivered: {"up": n, "down": n}."""
        with self._lock:
            return {direction: sum(len(data) for connection in self._connections
                                   for _, _, data in connection.pipes[direction].chunks)
                    for direction in DIRECTIONS}

    def hold(self, direction="both"):
        """Bytes and ends of streams wait from now on."""
        self._set(self._held, direction, True)

    def release(self, direction="both"):
        self._set(self._held, direction, False)

    def delay(self, direction, seconds):
        """Bytes that arrive from now on are passed on so much later."""
        self._set(self._delay, direction, float(seconds))

    def cut(self, reset=False):
        """Closes all connections; what was on the way is lost. With reset=True both peers get an
        RST instead of an end of stream."""
        with self._lock:
            for connection in self._connections:
                self._close(connection, reset)
            self._connections.clear()
        self._wake()

    def block(self, blocked=True):
        """Refuses new connections, or takes them again. Those that are open stay."""
        with self._lock:
            if blocked and self._listener is not None:
                self._unwatch(self._listener)
                self._listener.close()
                self._listener = None
            elif not blocked and self._listener is None:
                self._listener = self._listening()
        self._wake()

    def target(self, host, port):
        """Where connections that come from now on are passed to."""
        with self._lock:
            self._target = (host, port)

    def stop(self):
        with self._lock:
            self._stopping = True
        self._wake()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # The loop's side.

    def _set(self, table, direction, value):
        if direction != "both" and direction not in DIRECTIONS:
            raise ValueError(f"direction must be up, down or both, not {direction!r}")
        with self._lock:
            for one in DIRECTIONS:
                if direction in (one, "both"):
                    table[one] = value
        self._wake()

    def _wake(self):
        try:
            self._wake_out.send(b"x")
        except OSError:
            pass  # stopped

    @staticmethod
    def _bound(address):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        return bound

    def _listening(self):
        listener = self._bound(self._address)
        listener.listen(128)
        listener.setblocking(False)
        return listener

    def _run(self):
        while True:
            with self._lock:
                if self._stopping:
                    break
                timeout = self._interests()
            events = self._selector.select(timeout)
            with self._lock:
                self._handle(events)
        with self._lock:
            self.cut()
            for one in (self._listener, self._anchor, self._wake_in, self._wake_out):
                if one is not None:
                    one.close()
            self._selector.close()

    def _interests(self):
        """Registers what each socket waits for; returns for how long to wait at most."""
        now = time.monotonic()
        nearest = None
        wanted = {}
        if self._listener is not None:
            wanted[self._listener] = selectors.EVENT_READ
        for connection in self._connections:
            if not connection.connected:
                wanted[connection.server] = selectors.EVENT_WRITE
            for direction, pipe in connection.pipes.items():
                ready = connection.connected or pipe.source is connection.client
                if pipe.source_open and ready:
                    wanted[pipe.source] = wanted.get(pipe.source, 0) | selectors.EVENT_READ
                if pipe.chunks and connection.connected and not self._held[direction]:
                    due = pipe.chunks[0][1]
                    if due <= now:
                        wanted[pipe.sink] = wanted.get(pipe.sink, 0) | selectors.EVENT_WRITE
                    else:
                        nearest = due if nearest is None else min(nearest, due)
        for one in [one for one in self._watched if one not in wanted]:
            self._unwatch(one)
        for one, events in wanted.items():
            if one not in self._watched:
                self._selector.register(one, events)
            elif self._watched[one] != events:
                self._selector.modify(one, events)
            self._watched[one] = events
        return None if nearest is None else max(0.0, nearest - now)

    def _unwatch(self, one):
        if self._watched.pop(one, None) is not None:
            self._selector.unregister(one)

    def _handle(self, events):
        ready = {key.fileobj: mask for key, mask in events}
        if self._wake_in in ready:
            try:
                self._wake_in.recv(CHUNK_BYTES)
            except BlockingIOError:
                pass
        if self._listener is not None and self._listener in ready:
            self._accept()
        for connection in list(self._connections):
            try:
                self._advance(connection, ready)
            except OSError:
                self._close(connection, reset=False)
                self._connections.remove(connection)
                continue
            if connection.done():
                self._close(connection, reset=False)
                self._connections.remove(connection)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            for one in (client, server):
                one.setblocking(False)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.connect_ex(self._target)
            self._accepted += 1
            self._connections.append(_Connection(client, server))

    def _advance(self, connection, ready):
        if not connection.connected:
            if ready.get(connection.server, 0) & selectors.EVENT_WRITE:
                if error := connection.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, "the target refused")
                connection.connected = True
        for direction, pipe in connection.pipes.items():
            if pipe.source_open and ready.get(pipe.source, 0) & selectors.EVENT_READ:
                self._read(direction, pipe)
            if connection.connected and ready.get(pipe.sink, 0) & selectors.EVENT_WRITE:
                self._write(direction, pipe)

    def _read(self, direction, pipe):
        try:
            data = pipe.source.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        pipe.push(data, self._delay[direction])
        if not data:
            pipe.source_open = False

    def _write(self, direction, pipe):
        while pipe.chunks and not self._held[direction]:
            read, due, data = pipe.chunks[0]
            if due > time.monotonic():
                return
            if not data:
                pipe.chunks.popleft()
                pipe.sink_open = False
                pipe.sink.shutdown(socket.SHUT_WR)
                return
            try:
                sent = pipe.sink.send(data)
            except BlockingIOError:
                return
            self._bytes[direction] += sent
            if sent < len(data):
                pipe.chunks[0] = (read, due, data[sent:])
                return
            pipe.chunks.popleft()
            if self.traced:
                self.traced[direction].append((read, due, time.monotonic()))

    def _close(self, connection, reset):
        for one in (connection.client, connection.server):
            self._unwatch(one)
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
