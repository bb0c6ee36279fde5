"""A program on a terminal of its own: what it shows there, and keys for it."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time


class Terminal:
    """`shown` is all that was written so far; `screen()` what is to be seen of it."""

    def __init__(self, arguments, columns=80, lines=24, environment=None):
        self.columns, self.lines = columns, lines
        self.shown = ""
        self._master, terminal = pty.openpty()
        self._set_size(columns, lines)
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments], stdin=terminal, stdout=terminal,
            stderr=terminal, start_new_session=True, preexec_fn=self._own,
            env={**os.environ, "TERM": "xterm", **(environment or {})})
        os.close(terminal)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @staticmethod
    def _own():
        """In the child: Ctrl-C on this terminal is for it."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self):
        rest = b""
        while True:
            try:
                # A pty's master is told of its end by an error.
                found = os.read(self._master, 65536)
            except OSError:
                return
            if not found:
                return
            rest += found
            whole = rest.decode(errors="ignore")
            self.shown += whole
            rest = rest[len(whole.encode()):]

    def resize(self, columns, lines):
        self.columns, self.lines = columns, lines
        self._set_size(columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def press(self, keys):
        os.write(self._master, keys.encode())

    def flags(self):
        """Of its line discipline: ECHO and ICANON are off while a program reads single keys."""
        return termios.tcgetattr(self._master)[3]

    def until(self, what, fact, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := fact()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain: {what}\n{self.shown[-4000:]!r}")
            time.sleep(0.02)
        return found

    def ended(self, seconds=60):
        """Its status, after all that it wrote was read."""
        status = self.process.wait(seconds)
        self._thread.join(seconds)  # nobody has the other side any more
        return status

    def screen(self):
        """The lines that a person sees now."""
        return screen_of(self.shown, self.columns)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        self._thread.join(5)


ESCAPE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[78=>]|\x1b\(B")


def screen_of(text, columns=80):
    """Plays what was written to a terminal: lines, colours left out. Only what `rollcall` uses; a
    terminal that scrolls keeps all of its lines here."""
    lines, row, column, at = [""], 0, 0, 0
    saved = None

    def put(character):
        nonlocal row, column
        if column == columns:
            row, column = row + 1, 0
        while row >= len(lines):
            lines.append("")
        line = lines[row].ljust(column)
        lines[row] = line[:column] + character + line[column + 1:]
        column += 1

    while at < len(text):
        if found := ESCAPE.match(text, at):
            at = found.end()
            number, kind = found[1] or "", found[2]
            count = int(number) if number and number.isdigit() else 1
            if kind == "A":
                row = max(0, row - count)
            elif kind == "H":
                row = column = 0
            elif kind == "J":
                del lines[row + 1:]
                lines[row] = lines[row][:column]
            elif kind == "K":
                lines[row] = lines[row][:column]
            elif kind == "h" and number == "?1049":
                saved, lines, row, column = (lines, row, column), [""], 0, 0
            elif kind == "l" and number == "?1049" and saved:
                (lines, row, column), saved = saved, None
            continue
        character, at = text[at], at + 1
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            while row >= len(lines):
                lines.append("")
        else:
            put(character)
    return [line.rstrip() for line in lines]
