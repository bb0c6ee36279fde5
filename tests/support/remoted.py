"""What remoted does for messages to agents: a unix socket that takes datagrams, queue/alerts/ar in
Wazuh's home."""

import socket
import threading


def agent_socket_in(home):
    return home / "queue" / "alerts" / "ar"


class Remoted:
    """Reads the socket, and remembers what came."""

    def __init__(self, home):
        path = agent_socket_in(home)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.texts = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while text := self.socket.recv(1 << 16):
            self.texts.append(text.decode())

    def close(self):
        if self.socket.fileno() < 0:
            return
        # A datagram of no bytes ends the thread; the file stays, as after a kill.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.connect(self.socket.getsockname())
            last.send(b"")
        self._thread.join()
        self.socket.close()
