"""`supervisor-guards serve` as a person starts it: a command of its own in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.service.processes import free_port
from tests.service.serving import PATIENCE, until

ROOT = Path(__file__).parents[2]


class Serving:
    """A `serve` command that runs; `printed` is complete when it has ended."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "supervisor_guards.cli", "serve", "--port", str(self.port), *arguments],
            cwd=folder, env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.printed = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        until(self._ready)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line

    def _ready(self) -> bool:
        assert self.process.poll() is None, self.printed
        try:
            return httpx.get(f"{self.base_url}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def serve(folder: Path, *arguments: str, **environment: str) -> Iterator[Serving]:
    """`supervisor-guards serve` in `folder`, ready; ended afterwards, if the block hasn't done it."""
    one = Serving(folder, *arguments, **environment)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.end()
