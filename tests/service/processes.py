"""Processes of the service that can be killed: each has its own memory, connections and event loop.

They are forked from a process that has imported everything already, so that one is up in a moment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from pathlib import Path

import httpx

from tests.service.serving import ADMIN_TOKEN, until

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["supervisor_guards.service.app", "uvicorn", "psycopg", "tests.service.processes"])


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _serve(port: int, environment: dict[str, str]) -> None:
    import uvicorn

    os.environ.update(environment)
    uvicorn.run(
        "supervisor_guards.service.app:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_config=None,
        timeout_graceful_shutdown=10,
    )


class ServiceProcess:
    """A process of the service at `url` that listens on the same port whenever it is started."""

    def __init__(self, url: str, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            "SUPERVISOR_DATABASE_URL": url,
            "SUPERVISOR_STATE_DIR": str(folder),
            "SUPERVISOR_ADMIN_TOKEN": ADMIN_TOKEN,
            **environment,
        }
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._process = _context.Process(target=_serve, args=(self.port, self._environment))
        self._process.start()
        until(self._answers)

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.join()

    def terminate(self) -> int | None:
        """Ask it to end, as service managers do; what it ended with."""
        self._process.terminate()
        self._process.join()
        return self._process.exitcode

    def close(self) -> None:
        """End it, if it runs."""
        if self._process.is_alive():
            assert self.terminate() == -signal.SIGTERM

    def _answers(self) -> bool:
        assert self._process.is_alive(), "the service ended at its start"
        try:
            return httpx.get(f"{self.base_url}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False
