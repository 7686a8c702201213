"""Processes and what is said to them. Whoever starts one here ends it: by its id, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a start, an answer or an end may take."""


class Failed(Exception):
    """A program did not do what it should; says which and what it said."""


class Process:
    """A program that runs in a session of its own, so that Ctrl-C reaches the harness alone, and that
    the kernel ends should the harness be killed."""

    def __init__(self, name: str, command: list[str], work: Path, env: dict[str, str] | None = None):
        self.name = name
        self.said = ""
        command = ["setpriv", "--pdeathsig", "KILL", "stdbuf", "-oL", *command]
        environment = os.environ | {"RUNTIME_DIRECTORY": str(work)} | (env or {})
        try:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        except OSError as error:
            raise Failed(f"{name}: {error}") from error
        os.set_blocking(self.child.stdout.fileno(), False)

    def say(self, line: str) -> None:
        """Types a line."""
        try:
            self.child.stdin.write(line.encode() + b"\n")
            self.child.stdin.flush()
        except OSError as error:
            raise Failed(f"{self.name} ended: {self.tail()}") from error

    def expect(self, pattern: str, seconds: float = PATIENCE) -> re.Match:
        """Reads until `pattern` is there; what comes before it is forgotten."""
        expression = re.compile(pattern, re.MULTILINE | re.DOTALL)
        until = time.monotonic() + seconds
        while True:
            found = expression.search(self.said)
            if found:
                self.said = self.said[found.end():]
                return found
            if not self.read(until - time.monotonic()):
                raise Failed(f'{self.name} did not say "{pattern}": {self.tail()}')

    def ask(self, line: str, pattern: str) -> re.Match:
        """Types a line and reads the answer to it, not what was said before."""
        while self.read(0):
            pass
        self.said = ""
        self.say(line)
        return self.expect(pattern)

    def read(self, seconds: float) -> bool:
        """Takes what is said within `seconds`; False if that is nothing."""
        out = self.child.stdout.fileno()
        if not select.select([out], [], [], max(seconds, 0))[0]:
            return False
        text = os.read(out, 1 << 16)
        self.said += text.decode(errors="replace")
        return bool(text)

    def tail(self) -> str:
        """The last that it said."""
        while self.read(0.2):
            pass
        return "\n".join(self.said.strip().splitlines()[-12:]) or "(it said nothing)"

    def end(self, by: int | None = signal.SIGTERM, seconds: float = 10.0) -> int:
        """Ends it, gently first. Returns its exit code; negative: the signal."""
        if by is not None and self.child.poll() is None:
            self.child.send_signal(by)
        until = time.monotonic() + seconds
        while self.child.poll() is None and time.monotonic() < until:
            # Who writes into a full pipe does not end.
            self.read(0.05)
        self.kill()
        return self.child.returncode

    def kill(self) -> None:
        """Ends it at once, if it still runs. May be called twice."""
        if self.child.stdout.closed:
            return
        self.child.kill()
        self.child.wait()
        while self.read(0):
            pass
        with contextlib.suppress(OSError):
            self.child.stdin.close()
        self.child.stdout.close()


def wait_for(what: str, there, process: Process, seconds: float = PATIENCE) -> None:
    """Waits until `there()` is true; fails if `process` ends before."""
    until = time.monotonic() + seconds
    while not there():
        if process.child.poll() is not None or time.monotonic() > until:
            raise Failed(f"{process.name}: no {what}: {process.tail()}")
        process.read(0.02)


class Rpc:
    """A JSON-RPC client of a Unix socket: mvswitch's control socket, and OVS' unixctl."""

    def __init__(self, path: Path, ends_with_newline: bool):
        self.lines = ends_with_newline
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(str(path))
        except OSError as error:
            raise Failed(f"{path}: {error}") from error

    def call(self, *calls: tuple[str, object]) -> list:
        """Sends all requests at once, so that they are answered about the same moment."""
        requests = [{"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                    for number, (method, params) in enumerate(calls)]
        if not self.lines:
            for request in requests:
                del request["jsonrpc"]
        decoder, text, answers = json.JSONDecoder(), "", []
        try:
            self.socket.sendall("".join(json.dumps(request) + "\n" for request in requests).encode())
            while len(answers) < len(calls):
                try:
                    answer, end = decoder.raw_decode(text)
                except ValueError:
                    received = self.socket.recv(1 << 16)
                    if not received:
                        raise Failed(f"{calls[0][0]}: the connection was closed") from None
                    text += received.decode()
                    continue
                text = text[end:].lstrip()
                if answer.get("error"):
                    raise Failed(f"{calls[len(answers)][0]}: {answer['error']}")
                answers.append(answer["result"])
        except OSError as error:
            raise Failed(f"{calls[0][0]}: {error}") from error
        return answers

    def close(self) -> None:
        self.socket.close()
