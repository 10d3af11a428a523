"""The published package 0.3.0: its environment, and a worker process in it that is measured in rounds."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import workload

VERSION = "0.3.0"
_HERE = Path(__file__).parent
ENVIRONMENT = _HERE.parent / ".venvs" / "published"


class PublishedUnavailable(Exception):
    """The published package could not be installed; what is compared with it is left out."""


def interpreter() -> Path:
    """The interpreter of the environment that holds the published package; made on first use."""
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "published.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of the suite may ask at once
        return _made()


def _made() -> Path:
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / f".stamp-{VERSION}"
    if stamp.exists() and python.exists():
        return python
    requirement = f"supervisor-guards=={VERSION}"
    if uv := shutil.which("uv"):
        commands = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)],
            [uv, "pip", "install", "--quiet", "--python", str(python), requirement],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
            [str(python), "-m", "pip", "install", "--quiet", requirement],
        ]
    try:
        for command in commands:
            subprocess.run(command, check=True, timeout=90, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or b""
        raise PublishedUnavailable(f"{error} {output.decode(errors='replace')[-300:]}".strip()) from error
    stamp.touch()
    return python


class Worker:
    """A process that makes guarded calls with the published package."""

    def __init__(self, python: Path, base_url: str, mode: str) -> None:
        self._process = started(python, "published_worker.py")
        self._send({"base_url": base_url, "mode": mode, "fields": workload.FIELDS})

    def round(self, calls: int) -> tuple[list[int], list[int]]:
        """Nanoseconds of `calls` guarded calls, and of as many bare ones."""
        self._send({"calls": calls})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PublishedUnavailable(f"its worker ended with status {self._process.wait()}; see above")
        answer = json.loads(line)
        return answer["guarded"], answer["bare"]

    def _send(self, command: dict[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process."""
        end(self._process)


@contextlib.contextmanager
def worker(mode: str, delay_ms: float = 0) -> Iterator[Worker]:
    """A worker in `mode` against a loopback server of its own that answers after `delay_ms`."""
    python = interpreter()
    with server(delay_ms) as base_url:
        made = Worker(python, base_url, mode)
        try:
            made.round(3)  # its connection is opened and its imports are done
            yield made
        finally:
            made.close()


@contextlib.contextmanager
def server(delay_ms: float = 0) -> Iterator[str]:
    """The address of a loopback server of its own that answers after `delay_ms`."""
    process = started(Path(sys.executable), "loopback_server.py", str(delay_ms))
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        end(process)


def started(python: Path, script: str, *arguments: str) -> subprocess.Popen[str]:
    """A script of this folder in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SUPERVISOR_")}
    # -I: neither this folder nor the working directory is on its path, so another interpreter can't import ours.
    return subprocess.Popen(
        [str(python), "-I", str(_HERE / script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
