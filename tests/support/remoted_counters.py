"""remoted's statistics socket: counts what agents say to this node, and tells it who asks."""

import json
import pathlib
import socketserver
import struct
import threading


class RemotedCounters:
    """Serves `home`/queue/sockets/remote until it is closed."""

    def __init__(self, home):
        path = pathlib.Path(home) / "queue" / "sockets" / "remote"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._counts = {}
        self._lock = threading.Lock()
        remoted = self

        class Answer(socketserver.StreamRequestHandler):
            def handle(self):
                while head := self.rfile.read(4):
                    asked = json.loads(self.rfile.read(*struct.unpack("<I", head)))
                    text = json.dumps(remoted.answer(asked["parameters"]["agents"])).encode()
                    self.wfile.write(struct.pack("<I", len(text)) + text)

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Answer)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, id, kind):
        """`kind`: startup, keepalive or shutdown."""
        with self._lock:
            counts = self._counts.setdefault(id, {"keepalive": 0, "request": 0, "shutdown": 0,
                                                  "startup": 0})
            counts[kind] += 1

    def answer(self, ids):
        with self._lock:
            agents = [{"uptime": 1, "id": id, "metrics": {"messages": {"received_breakdown": {
                "control_breakdown": dict(self._counts[id])}}}}
                      for id in ids if id in self._counts]
        return {"error": 0, "message": "ok",
                "data": {"timestamp": 1, "name": "wazuh-remoted", "agents": agents}}
