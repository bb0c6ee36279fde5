"""As much of msgpack, of the frames (docs/protocol.md) and of the master's log
(docs/store-format.md) as the tests need, written from those documents and not from the daemons."""

import collections
import pathlib
import struct

FRAME_MARKER = bytes.fromhex("f79d5243b64c1ae5")
SEGMENT_HEADER_BYTES = 64
FRAME_HEADER_BYTES = 40

HELLO, WELCOME, DELTA, ACK, HEARTBEAT, ERROR = 1, 2, 3, 4, 7, 9
OPENED = 1


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        if value >= 0:
            return b"\xcf" + struct.pack(">Q", value)
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, str):
        data = value.encode()
        return (bytes([0xA0 | len(data)]) if len(data) < 32
                else b"\xda" + struct.pack(">H", len(data))) + data
    if isinstance(value, (list, tuple)):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(pack, value))
    if isinstance(value, dict):
        return (b"\xde" + struct.pack(">H", len(value))
                + b"".join(pack(k) + pack(v) for k, v in value.items()))
    raise TypeError(f"cannot pack {type(value)}")


def unpack(data):
    value, at = _unpack(memoryview(data), 0)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes behind the value")
    return value


_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
            0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_LENGTHS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I",
            0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}


def _unpack(data, at):
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    if first >= 0xE0:
        return first - 0x100, at
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at
    if first in _NUMBERS:
        form = _NUMBERS[first]
        (value,) = struct.unpack_from(form, data, at)
        return value, at + struct.calcsize(form)
    if first < 0x90:
        kind, count = "map", first & 15
    elif first < 0xA0:
        kind, count = "array", first & 15
    elif first < 0xC0:
        kind, count = "str", first & 31
    else:
        form = _LENGTHS[first]
        (count,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        kind = ("bin" if first <= 0xC6 else "str" if first <= 0xDB else
                "array" if first <= 0xDD else "map")
    if kind in ("str", "bin"):
        raw = bytes(data[at:at + count])
        if len(raw) != count:
            raise ValueError("ends too early")
        return (raw.decode(errors="replace") if kind == "str" else raw), at + count
    found = []
    for _ in range(count * (2 if kind == "map" else 1)):
        value, at = _unpack(data, at)
        found.append(value)
    return (found if kind == "array" else dict(zip(found[::2], found[1::2]))), at


def frame(type, body):
    payload = pack([type, body])
    return struct.pack(">I", len(payload)) + payload


# ---- the master's log -----------------------------------------------------------------------------

Term = collections.namedtuple("Term", "term cause")
Welcomed = collections.namedtuple("Welcomed", "node store stream first_seq")
Decided = collections.namedtuple("Decided", "node first_seq position events")


def segments(folder):
    return sorted(pathlib.Path(folder).glob("log-*.seg"))


def log_records(folder):
    """What is in the log, read from its files: terms, welcomes and decisions in order. An end that
    is torn is left out, as the master would."""
    found = []
    for segment in segments(folder):
        data = segment.read_bytes()
        at = SEGMENT_HEADER_BYTES
        while data[at:at + 8] == FRAME_MARKER and at + FRAME_HEADER_BYTES <= len(data):
            length, count = struct.unpack_from("<II", data, at + 8)
            at += FRAME_HEADER_BYTES
            if at + length > len(data):
                break
            end = at + length
            for _ in range(count):
                (size,) = struct.unpack_from("<I", data, at)
                found.append(unpack(data[at + 4:at + 4 + size]))
                at += 4 + size
            assert at == end, f"{segment}: the records do not fill their frame"
    records = []
    for record in found:
        if record[0] == 2:
            records.append(Term(record[1], record[2]))
        elif record[0] == 4:
            records.append(Welcomed(record[1], record[3], record[4], record[5]))
        elif record[0] == 5:
            records.append(Decided(record[1], record[2], record[3], record[5]))
    return records


def seqs_in_log(records):
    """{stream: set of the seqs that were decided}"""
    stream_of, seqs = {}, collections.defaultdict(set)
    for record in records:
        if isinstance(record, Welcomed):
            stream_of[record.node] = record.stream
        elif isinstance(record, Decided):
            seqs[stream_of[record.node]].update(
                range(record.first_seq, record.first_seq + len(record.events)))
    return seqs
