"""What each fuzz target begins with: real bytes, so that it need not find them out. From the golden
frames, the transcripts of wazuh-db and the files in packaging/."""

import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from wire import pack  # noqa: E402


def golden():
    """Whole frames, by name."""
    frames = {}
    for line in (ROOT / "tests/golden/protocol-1.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, text = line.split()
            frames[name] = bytes.fromhex(text)
    return frames


def replies(*words):
    """What wazuh-db answered to the questions that contain all these words."""
    found = []
    for path in sorted((ROOT / "tests/data").glob("transcript-*.jsonl")):
        for line in path.read_text().splitlines():
            step = json.loads(line)
            request, reply = step.get("request"), step.get("reply")
            if (isinstance(request, str) and isinstance(reply, str) and len(reply) < 2000
                    and all(word in request for word in words) and reply not in found):
                found.append(reply)
    return [reply.encode() for reply in found]


def long_text(data):
    return struct.pack(">H", len(data)) + data


def short_text(data):
    return bytes([len(data)]) + data


def message():
    return [frame[4:] for frame in golden().values()]


def framing():
    frames = list(golden().values())
    small = [struct.pack(">I", n) + b"x" * n for n in (1, 5, 64)]
    return [b"\x03" + frames[2] + frames[5], b"\x20" + b"".join(small),
            b"\x00" + small[0] + struct.pack(">I", 65), b"\x00" + struct.pack(">I", 0)]


EPOCH = 1_700_000_000_000_000
MOMENT = [42, 1000, EPOCH]


def event(agent=7, kind=1, **optional):
    fields = [agent, EPOCH, 0, kind, 0, 1_000_000]
    return fields + [{int(key[1:]): value for key, value in optional.items()}] if optional else fields


def stored_state():
    row = [2, 1_700_000_000, 0, 0]
    session = [EPOCH, 1, 1, 0, MOMENT, MOMENT, MOMENT, 0]
    states = [[None, None, 0, 0, 0, False], [row, None, 0, 0, 0, False],
              [row, session, EPOCH, 5, 5, True]]
    events = [[7, kind, EPOCH, 1, True, MOMENT, MOMENT, MOMENT, 1, 9, info, 2]
              for kind, info in ((1, None), (2, {"name": "a", "os_name": "b"}))]
    info = short_text(b"name") + b"\x3f" + short_text(b"x" * 200) + short_text(b"") + b"\0"
    return [pack(v) for v in states + events] + [info * 3]


def log_record():
    decided = [5, "w1", 1, 9, EPOCH, [event(), event(8, 4, _1=3), event(9, 2, _2=77)]]
    records = [[1, 5], [2, 6, "a new log"], [3, EPOCH + 20_000_000, 0, 42, EPOCH],
               [4, "w1", "m", 7, 8, 1, 0, EPOCH]]
    packed = [pack(r) for r in records]
    packed.append(b"\x97" + b"".join(pack(v) for v in decided) + b"\xc4\x03\x01\x01\x01")
    return [b"".join(long_text(r) for r in packed)] + [long_text(r) for r in packed]


def wazuh_db():
    scans = replies("group_concat(x")
    infos = replies("os_name") + replies("labels")
    found = [b"\0\x07\0" + long_text(r) for r in scans[:6]]
    found += [b"\0\x01\0" + b"".join(long_text(r) for r in scans[:6])]
    found += [b"\x01\x09" + long_text(r) + long_text(b"ok []") for r in infos[:6]]
    found += [b"\x01\0" + long_text(b"err no such column: os_name") * 2,
              b"\x01\0" + long_text(b'ok [{"id":1,"name":"a"}]')
              + long_text(b'ok [{"id":1,"key":"k","value":"v"}]')]
    framed = [struct.pack("<I", len(r)) + r for r in scans[:2]]
    return found + [b"\x02\x05" + f for f in framed] + [b"\x02\x01" + struct.pack("<I", 1 << 30)]


def sink():
    # A table that is wrong twice, and whole rows: so that something is to be written.
    version = b'ok [{"v":"Wazuh v4.14.7","k":1}]'
    table = (b'ok [{"r":"1:disconnected:w1;2:active:w1;5:active:w1","m":5,"c":3,"o":"m",'
             b'"t":1700000000}]')
    row = (b'{"id":%d,"name":"a","version":"Wazuh v4.14.7","node_name":"w1","last_keepalive":5,'
           b'"connection_status":"%s"}')
    rows = b"ok [" + b",".join((row % (1, b"disconnected"), row % (2, b"active"),
                                row % (5, b"active"))) + b"]"
    labels = b'ok [{"id":1,"key":"site","value":"lab"}]'
    look = long_text(version) + long_text(table)
    wrote = look + look + long_text(rows) + long_text(labels) + long_text(b"ok")
    modes = [bytes([mode, http, 7]) for mode in (0, 1) for http in (0, 1)]
    return [m + wrote for m in modes] + [
        modes[2] + look + look + long_text(rows) + long_text(labels) + long_text(b"err readonly"),
        modes[3] + look + long_text(b"err no such table: agent"),
        modes[3] + long_text(version) + long_text(b'ok [{"r":"9:active:w1","m":9,"c":2}]') * 4]


def ini():
    files = [path.read_bytes() for path in sorted((ROOT / "packaging").glob("*.ini"))]
    short = [b"\n".join(line for line in f.splitlines() if line and not line.startswith(b"#"))
             for f in files]
    filled = b"[node]\nname = w1\n[master]\naddress = 10.0.0.1, [::1]:9471\n"
    return short + [filled, b"[::1]:9471", b"host:1", b"15m", b"64KiB", b"# none\n0A:1b\n"]


def event_lines():
    line = (b'{"agent":7,"event":"%s","at_us":1700000090000000,'
            b'"info":{"name":"a","os_name":"Debian","label.x":"y"}}\n')
    whole = b"".join(line % event for event in (b"connect", b"keepalive", b"disconnect", b"remove"))
    return [b"\x20" + whole, b"\x03" + whole[:150], b"\x10" + b'{"agent":8,"event":"connect"}\n\n{\n',
            b"\x05" + b"x" * 300 + b"\n" + whole[:120]]


def client_keys():
    return [b"001 web-1 any 6d79\n002 !gone any 00\n", b"# none\n\n", b"002 !gone any 00\r\n"]


def http_head():
    host = b"Host: 127.0.0.1:9472\r\n"
    return [b"GET /status HTTP/1.1\r\n" + host + b"\r\n",
            b"GET /agents?after=7 HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n"
            b"Connection: close\r\n\r\n",
            b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: [::1]:1\r\nOrigin: http://x\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n"]


def event_log():
    # Pieces as event_log.cc reads them: a segment with a header and three groups, one after it,
    # and a snapshot.
    groups = b"".join(b"\x01\0" + short_text(b"record") for _ in range(3))
    first = b"\x00\x03\x00" + groups
    snapshot = b"\x41\0\0\0\x02\x00\x44\0\0\0\x02" + short_text(b"state")
    torn = b"\x80\x03\x00" + groups + b"\x09"
    return [first, first + b"\x00\x01\x00\x01\x00" + short_text(b"more"), first + snapshot, torn]


def session_store():
    return [b"\0", b"\x01\0\0\x20\0", b"\0\0\0\x02\x10\x03abcd", b"\0\0\0\x00\x0c\x07abcdefgh"]


def sidecar_core():
    # Connects, is welcomed, looks at two agents, stores; acks, is asked and told.
    look = bytes([0, 0x20, 0, 0x02, 3, 1, 0x02, 3])
    up = bytes([0, 14, 4, 6, 0]) + look + bytes([14, 14])
    # A COMMAND is stored, sent to both agents, and comes again.
    command = bytes([20, 0x28, 2, 0, 1, 1, 1])
    told = up + command + bytes([14, 21, 0, 21, 1]) + command + bytes([14, 22, 0, 4, 6, 0]) + command
    return [up, told, up + bytes([7, 2, 0, 0, 14]), up + bytes([9, 1, 0, 1, 1, 0, 14, 10, 1, 0, 1, 1]),
            bytes([0]) + look + bytes([14, 17, 0, 4, 6, 0, 14, 16, 3])]


def master_core():
    # Two workers connect and claim the same agent; one of them leaves.
    def pick(n, op):
        """A byte that is this op of this worker."""
        return next(b for b in range(n << 6, (n + 1) << 6) if b % 14 == op)

    def hello(n, node, how=0x10):
        return bytes([pick(n, 0), node, 0, pick(n, 2), how, node, 0, 0, 0, pick(n, 10)])

    def claims(n, agent, kind, late):
        return bytes([pick(n, 4), 1, 9, agent, kind, late, 0, 8, 0, pick(n, 10)])

    both = hello(0, 0) + hello(1, 1)
    able = hello(0, 0, 0x90) + hello(1, 1, 0x90) + claims(0, 1, 0, 0)
    command = bytes([pick(0, 13), 0xe1, 1, 0x28, 1, 1, pick(0, 10)])
    told = bytes([pick(0, 13), 0xe0, 1, 1, 0, 0, 0])
    return [able + command + told, able + command + claims(1, 1, 0, 1) + bytes([pick(0, 1)]) + told,
            hello(0, 0) + claims(0, 1, 0, 0), both + claims(0, 1, 0, 0) + claims(1, 1, 0, 1),
            both + claims(0, 1, 0, 0) + claims(1, 1, 3, 1) + bytes([pick(0, 1), pick(1, 12), 3])]


TARGETS = {f.__name__: f for f in (
    client_keys, event_lines, event_log, framing, http_head, ini, log_record, master_core, message,
    session_store, sidecar_core, sink, stored_state, wazuh_db)}
