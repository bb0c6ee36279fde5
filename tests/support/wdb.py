"""A client of wazuh-db's stream socket (or of its stand-in), for scripts and tests.

    wdb = Wdb("queue/db/wdb")
    wdb.ask("global sql SELECT count(*) n FROM agent")     # 'ok [{"n":1}]'

    daemons = Manager("queue/db/wdb", flavour="4.14")
    daemons.enroll(7, "agent-007")
    daemons.startup(7)
    daemons.first_keepalive(7, "worker-1")

`Manager` sends what Wazuh's own daemons (authd, remoted, monitord) send, byte for byte as recorded
from 4.11.2 and 4.14.7. Point it at a stand-in or at a laboratory, never at a manager in use.
One thread per object. Errors of the socket are OSError; a closed connection is ConnectionError.
"""

import http.client
import json
import socket
import struct

# A longer request kills a thread of the real daemon, so it is refused here.
MAX_REQUEST_BYTES = 65536

DEFAULT_INFO = {
    "os_name": "Ubuntu",
    "os_version": "22.04.3 LTS",
    "os_major": "22",
    "os_minor": "04",
    "os_codename": "Jammy Jellyfish",
    "os_platform": "ubuntu",
    "os_build": "",
    "os_arch": "x86_64",
    "os_uname": "Linux |host |5.15.0-91-generic |#101-Ubuntu SMP |x86_64",
    "version": None,  # the flavour's own
    "config_sum": "ab73af41699f13fdd81903b5f23d8d00",
    "merged_sum": "4a8724b20dee0124ff9656783c490c4e",
    "manager_host": None,  # NODE-host
}


class WdbError(Exception):
    """The daemon answered `err`."""


class Wdb:
    """One persistent connection, made when it is first needed and again after it broke."""

    def __init__(self, path, timeout=10.0):
        self.path = str(path)
        self.timeout = timeout
        self._socket = None

    def connect(self):
        if self._socket is None:
            fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            fresh.settimeout(self.timeout)
            try:
                fresh.connect(self.path)
            except OSError:
                fresh.close()
                raise
            self._socket = fresh
            self._connected()
        return self

    def _connected(self):
        pass

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self):
        return self.connect()

    def __exit__(self, *_):
        self.close()

    def ask(self, request):
        """The reply to one request, `ok …`, `due …` or `err …`."""
        return self.ask_many([request])[0]

    def ask_many(self, requests):
        """Sends all frames in one write and returns the replies in order. Keep it to some dozens."""
        frames = b"".join(self._frame(request) for request in requests)
        self.connect()
        try:
            self._socket.sendall(frames)
            return [self._reply() for _ in requests]
        except OSError:
            self.close()
            raise

    def tell(self, request):
        """Like ask, but an `err` is raised and the status word is taken off."""
        status, _, rest = self.ask(request).partition(" ")
        if status not in ("ok", "due"):
            raise WdbError(f"{request[:80]}: {status} {rest}")
        return rest

    def sql(self, query):
        """The rows of `global sql`. Page your query: a reply is cut at 65536 bytes."""
        return json.loads(self.tell("global sql " + query))

    @staticmethod
    def _frame(request):
        data = request.encode() if isinstance(request, str) else request
        if not 0 < len(data) <= MAX_REQUEST_BYTES:
            raise ValueError(f"a request of {len(data)} bytes would harm wazuh-db")
        return struct.pack("<I", len(data)) + data

    def _reply(self):
        (length,) = struct.unpack("<I", self._exactly(4))
        return self._exactly(length).decode(errors="surrogateescape")

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            more = self._socket.recv(min(count - len(data), 1 << 20))
            if not more:
                raise ConnectionError(f"{self.path} was closed inside a reply")
            data += more
        return bytes(data)


class Manager(Wdb):
    """Plays the daemons of one Wazuh node.

    flavour  "4.11" or "4.14": which pending-sync marks remoted writes
    worker   False on the master, whose rows need no sync
    standin  the socket is a stand-in's, whose faults and counters leave this connection alone
    """

    VERSIONS = {"4.11": "Wazuh v4.11.2", "4.14": "Wazuh v4.14.7"}

    def __init__(self, path, flavour="4.14", worker=True, standin=False, timeout=10.0):
        super().__init__(path, timeout)
        if flavour not in self.VERSIONS:
            raise ValueError(f"flavour must be one of {sorted(self.VERSIONS)}, not {flavour!r}")
        self.flavour = flavour
        self.worker = worker
        self.standin = standin

    def _connected(self):
        if self.standin:
            self.tell("standin manager")

    def _mark(self, since_413):
        if not self.worker:
            return "synced"
        return since_413 if self.flavour == "4.14" else "syncreq"

    def _write(self, command, **fields):
        self.tell(f"global {command} {json.dumps(fields, separators=(',', ':'), ensure_ascii=False)}")

    def enroll(self, id, name=None, ip="any", group="default", date_add=1700000000, key="0" * 64):
        """authd: a new row, `never_connected`."""
        self._write("insert-agent", id=id, name=name or f"agent-{id:03d}", ip=ip, register_ip=ip,
                    internal_key=key, group=group, date_add=date_add)

    def startup(self, id):
        """The agent says hello: `pending`."""
        self._write("update-keepalive", id=id, connection_status="pending",
                    sync_status=self._mark("syncreq_status"))

    def first_keepalive(self, id, node, **info):
        """All data of the agent: `active`, and the row gets its node. Any column of DEFAULT_INFO
        may be given, and agent_ip, group_config_status, labels (a dict)."""
        fields = dict(DEFAULT_INFO, version=self.VERSIONS[self.flavour], manager_host=f"{node}-host")
        agent_ip = info.pop("agent_ip", f"10.0.{(id + 1) >> 8 & 255}.{(id + 1) & 255}")
        status = info.pop("group_config_status", "synced")
        labels = info.pop("labels", {"site": "lab"})
        if unknown := info.keys() - fields.keys():
            raise TypeError(f"unknown agent data: {sorted(unknown)}")
        fields.update(info)
        text = "\n".join([f'#"_wazuh_version":{fields["version"]}'] +
                         [f"{key}:{value}" for key, value in labels.items()])
        self._write("update-agent-data", id=id, **fields, node_name=node, agent_ip=agent_ip,
                    connection_status="active", sync_status=self._mark("syncreq"),
                    group_config_status=status, labels=text)

    def connect_agent(self, id, node, **info):
        """startup and first_keepalive."""
        self.startup(id)
        self.first_keepalive(id, node, **info)

    def keepalive(self, id):
        """Every 20 s (10 s in 4.11)."""
        self._write("update-keepalive", id=id, connection_status="active",
                    sync_status=self._mark("syncreq_keepalive"))

    def keepalives(self, ids, batch=50):
        """A keepalive of each agent, several frames to a write."""
        ids = list(ids)
        mark = self._mark("syncreq_keepalive")
        for first in range(0, len(ids), batch):
            requests = [f'global update-keepalive {{"id":{id},"connection_status":"active",'
                        f'"sync_status":"{mark}"}}' for id in ids[first:first + batch]]
            for request, reply in zip(requests, self.ask_many(requests)):
                if reply != "ok":
                    raise WdbError(f"{request}: {reply}")

    def shutdown(self, id):
        """The agent says goodbye: `disconnected`, code 3."""
        self._write("update-connection-status", id=id, connection_status="disconnected",
                    sync_status=self._mark("syncreq_status"), status_code=3)

    def silent_since(self, time):
        """monitord's real request: all agents without a keepalive since `time` become
        `disconnected`, code 4, and are not synced. Returns their ids."""
        gone, last = [], 0
        while True:
            reply = self.ask(f"global disconnect-agents {last} {int(time)} synced")
            status, _, rest = reply.partition(" ")
            if status not in ("ok", "due"):
                raise WdbError(reply)
            page = [row["id"] for row in json.loads(rest)]
            gone += page
            if status == "ok" or not page:
                return gone
            last = page[-1]

    def reaper(self, ids):
        """What the reaper leaves in the rows of these agents, however old their keepalives are.
        wazuh-db's reaper goes by age (see silent_since) and then writes each row like this."""
        for id in ids:
            self._write("update-connection-status", id=id, connection_status="disconnected",
                        sync_status="synced", status_code=4)

    def remoted_restart(self):
        """remoted starts: all active and pending agents are `disconnected`, code 5, not synced."""
        self.tell("global reset-agents-connection synced")

    def delete(self, id):
        self.tell(f"global delete-agent {id}")


class _UnixHttp(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class ClusterSync:
    """Plays the master's cluster daemon, which writes what the workers sent in the order in which
    it came: since 4.13 over HTTP, before over the stream socket."""

    def __init__(self, path, http_path=None, timeout=10.0):
        self.http_path = http_path
        self._manager = Manager(path, "4.14" if http_path else "4.11", standin=True,
                                timeout=timeout)

    def close(self):
        self._manager.close()

    def _put(self, kind, row):
        if not self.http_path:
            self._manager.tell(f"global sync-agent-info-set {json.dumps([row])}")
            return
        connection = _UnixHttp(self.http_path, self._manager.timeout)
        try:
            connection.request("POST", "/v1/agents/sync", json.dumps({kind: [row]}))
            if (status := connection.getresponse().status) != 200:
                raise WdbError(f"POST /v1/agents/sync: {status}")
        finally:
            connection.close()

    def full_row(self, row):
        """A worker's whole row, `labels` as a dict beside the columns."""
        labels = [{"id": row["id"], "key": key, "value": value}
                  for key, value in row.get("labels", {}).items()]
        self._put("syncreq", {**row, "labels": labels})

    def keepalive(self, row):
        """A worker's pending keepalive; before 4.13 that is its whole row."""
        if self.http_path:
            self._put("syncreq_keepalive", {"id": row["id"], "version": row["version"]})
        else:
            self.full_row({**row, "connection_status": "active", "disconnection_time": 0,
                           "status_code": 0})

    def status(self, row, status, time, code=3):
        """A worker's change of status; before 4.13 that is its whole row."""
        said = {"connection_status": status, "disconnection_time": time, "status_code": code}
        if self.http_path:
            self._put("syncreq_status", {"id": row["id"], "version": row["version"], **said})
        else:
            self.full_row({**row, **said})

    def row(self, id):
        """The whole row of the master's table, labels as a dict."""
        (row,) = self._manager.sql(
            "SELECT id,name,ip,os_name,os_version,os_major,os_minor,os_codename,os_build,"
            "os_platform,os_uname,os_arch,version,config_sum,merged_sum,manager_host,node_name,"
            "last_keepalive,connection_status,disconnection_time,group_config_status,status_code,"
            f"date_add,`group`,register_ip FROM agent WHERE id={int(id)}")
        labels = self._manager.sql(f"SELECT key,value FROM labels WHERE id={int(id)}")
        row["labels"] = {label["key"]: label["value"] for label in labels}
        return row

    def enroll(self, ids):
        for id in ids:
            self._manager.enroll(id)

    def is_node(self, name):
        """The manager's own row names its node."""
        self._manager.tell(f"global sql UPDATE agent SET node_name='{name}' WHERE id=0")


class Standin(Wdb):
    """Steers a stand-in; on its own connection, so that faults do not reach it."""

    def fault(self, name, *arguments):
        self.tell(" ".join(["standin fault", name, *map(str, arguments)]))

    def offset(self, seconds):
        self.tell(f"standin offset {seconds}")

    def reset(self):
        self.tell("standin reset")

    def fill(self, agents, first=1, node="worker-1"):
        """So many active agents with all fields, at once."""
        self.tell(f"standin fill {agents} {first} {node}")

    def keepalives(self, agents, period_ms):
        """From now on each of agents 1 to `agents` sends one every period_ms; 0: nobody."""
        self.tell(f"standin keepalives {agents} {period_ms}")

    def stats(self):
        return json.loads(self.tell("standin stats"))
