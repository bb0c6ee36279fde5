"""Agents played on stand-ins for wazuh-db, by who writes there what Wazuh's own daemons would write."""

import threading
import time

from wdb import Manager, WdbError

KEEPALIVE_EVERY_S = 2.0


class Agents:
    """Plays the agents on the stand-ins, and so knows the truth. The tables have whole seconds, and
    two stays that touch the same second have no order that anybody could see: whoever lets an agent
    connect waits until it is `ready`."""

    def __init__(self, sockets):
        self._managers = {worker: Manager(path, standin=True) for worker, path in sockets.items()}
        self._lock = threading.RLock()
        self.where = {}  # agent -> its worker, or None
        self.info = {}  # agent -> what it said of itself beside DEFAULT_INFO
        self._second = {}  # agent -> the last one in which it spoke
        self._enrolled = []
        self._ending = threading.Event()
        self.error = None
        self._thread = threading.Thread(target=self._keep_alive, name="agents", daemon=True)

    def enroll(self, ids):
        with self._lock:
            for manager in self._managers.values():
                for id in ids:
                    manager.enroll(id)
            self._enrolled += ids
        if not self._thread.is_alive():
            self._thread.start()

    def close(self):
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        for manager in self._managers.values():
            manager.close()

    def ready(self, id):
        return int(time.time()) >= self._second.get(id, 0) + 2

    def connect(self, id, worker, **info):
        """Returns when it had; so do goodbye() and vanish()."""
        while not self.ready(id):
            time.sleep(0.02)
        with self._lock:
            self._managers[worker].connect_agent(id, worker, **info)
            self._second[id] = int(time.time())
            self.where[id], self.info[id] = worker, info
            return time.monotonic()

    def speak(self, id, worker):
        """A keepalive to a worker that it has not described itself to."""
        with self._lock:
            self._managers[worker].keepalive(id)

    def goodbye(self, id):
        with self._lock:
            self._managers[self.where[id]].shutdown(id)
            self.where[id] = None
            return time.monotonic()

    def vanish(self, id):
        """Without a word: its row stays active."""
        with self._lock:
            self.where[id] = None
            return time.monotonic()

    def move(self, id, worker):
        self.goodbye(id)
        self.connect(id, worker)

    def on(self, worker):
        return [id for id, where in self.where.items() if where == worker]

    def truth(self):
        with self._lock:
            return {id: ("active", where) if where else ("disconnected", None)
                    for id, where in self.where.items()}

    def paused(self):
        """No agent speaks, and nothing is written to a stand-in, as long as this is held."""
        return self._lock

    def fill(self, worker, path):
        """Writes into an empty stand-in what the one of this worker held: the same agents there."""
        with Manager(path, standin=True) as fresh:
            for id in self._enrolled:
                fresh.enroll(id)
            for id in self.on(worker):
                fresh.connect_agent(id, worker)

    def reconnect(self, worker):
        self._managers[worker].close()

    def _keep_alive(self):
        while not self._ending.wait(KEEPALIVE_EVERY_S):
            try:
                with self._lock:
                    for worker, manager in self._managers.items():
                        here = self.on(worker)
                        manager.keepalives(here)
                        for id in here:
                            self._second[id] = int(time.time())
            except (OSError, WdbError) as error:
                self.error = error
                return
