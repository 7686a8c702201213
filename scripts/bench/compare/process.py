"""Processes and what is said to them. Whoever starts one here ends it: by its id, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a start, an answer or an end may take."""


class Failed(Exception):
    """A program did not do what it should; says which and what it said."""


RUNNING: list[Process] = []
"""Those started that nobody has ended yet."""


class Process:
    """A program that runs in a session of its own, so that Ctrl-C reaches the harness alone, and that
    the kernel ends should the harness be killed."""

    def __init__(self, name: str, command: list[str], work: Path, env: dict[str, str] | None = None):
        self.name = name
        self.said = ""
        command = ["setpriv", "--pdeathsig", "KILL", "stdbuf", "-oL", *command]
        environment = os.environ | {"RUNTIME_DIRECTORY": str(work)} | (env or {})
        # A file, not a pipe: the vhost library talks a lot, and must not wait for a reader.
        self.log = (work / f"{name}.log").open("w+b", buffering=0)
        try:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self.log,
                                          stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        except OSError as error:
            raise Failed(f"{name}: {error}") from error
        self.read_to = 0
        RUNNING.append(self)

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
            ended = self.child.poll() is not None
            self.read()
            found = expression.search(self.said)
            if found:
                self.said = self.said[found.end():]
                return found
            if ended or time.monotonic() > until:
                raise Failed(f'{self.name} did not say "{pattern}": {self.tail()}')
            time.sleep(0.002)

    def ask(self, line: str, pattern: str) -> re.Match:
        """Types a line and reads the answer to it, not what was said before."""
        self.read()
        self.said = ""
        self.say(line)
        return self.expect(pattern)

    def read(self) -> None:
        """Takes what was said since."""
        text = os.pread(self.log.fileno(), 1 << 24, self.read_to)
        self.read_to += len(text)
        self.said += text.decode(errors="replace")

    def tail(self) -> str:
        """The last that it said."""
        self.read()
        return "\n".join(self.said.strip().splitlines()[-12:]) or "(it said nothing)"

    def end(self, by: int | None = signal.SIGTERM, seconds: float = 10.0) -> int:
        """Ends it, gently first. Returns its exit code; negative: the signal that ended it."""
        if by is not None and self.child.poll() is None:
            self.child.send_signal(by)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        return self.child.returncode

    def kill(self) -> None:
        """Ends it at once, if it still runs."""
        self.child.kill()
        self.child.wait()
        self.read()
        with contextlib.suppress(OSError):
            self.child.stdin.close()
        self.log.close()
        RUNNING.remove(self)


def kill_all() -> None:
    """Ends whatever still runs."""
    for process in list(RUNNING):
        process.kill()


def wait_for(what: str, there, process: Process, seconds: float = PATIENCE) -> None:
    """Waits until `there()` is true; fails if `process` ends before."""
    until = time.monotonic() + seconds
    while not there():
        if process.child.poll() is not None or time.monotonic() > until:
            raise Failed(f"{process.name}: no {what}: {process.tail()}")
        time.sleep(0.02)


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
