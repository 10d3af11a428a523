"""Flask on real gunicorn workers: threads, greenlets, several processes, clients that leave, paths as bytes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import GuardConfig
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.store import Store
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor
from tests.integrations.servers import PATIENCE, ROOT, message, parsed

WORKERS = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "8"),
    "gevent": ("-k", "gevent"),
    "two processes": ("-k", "gthread", "--threads", "4", "--workers", "2", "--preload"),
}
JSON = [("content-type", "application/json")]


class Served:
    """A server that runs, and what its folder holds."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def ask(self, method: str, target: str, body: bytes = b"", headers: Any = ()) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        with self.connect() as connection:
            connection.sendall(message(method, target, "flask", body, headers))
            return parsed(connection, method)

    def refund(self, amount: int, *headers: tuple[str, str], order: str = "o-1") -> tuple[int, Any]:
        status, _, body = self.ask(
            "POST", f"/refunds/{order}", json.dumps({"amount": amount}).encode(), [*JSON, *headers]
        )
        return status, json.loads(body) if body.startswith(b"{") else body

    @property
    def ran(self) -> list[str]:
        path = self.folder / "ran"
        return path.read_text().splitlines() if path.exists() else []

    def supervisor(self) -> contextlib.closing[EmbeddedSupervisor]:
        """As another process opens it, with the key that makes a resolution good."""
        config = GuardConfig(policy=str(self.folder / "supervisor.yaml"), state_dir=str(self.folder / ".supervisor"))
        return contextlib.closing(EmbeddedSupervisor.from_config(config))

    def store(self) -> contextlib.closing[Store]:
        return contextlib.closing(Store(f"sqlite:///{self.folder / '.supervisor' / 'decisions.db'}"))


@contextlib.contextmanager
def serving(kind: str, folder: Path, mode: str = "enforce") -> Iterator[Served]:
    """The test application on gunicorn; it has stored everything when the block is left."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "FLASK_"))}
    environment |= {"FLASK_SERVER_FOLDER": str(folder), "FLASK_SERVER_MODE": mode}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "integrations")))
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener, (folder / "log").open("wb") as log:
        command = [
            sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--log-level", "warning",
            *WORKERS[kind], "tests.integrations.flask_server_app:app",
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=folder, env=environment, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log,
        )  # fmt: skip
        port = listener.getsockname()[1]
    try:
        server = Served(folder, port)
        status, _, _ = server.ask("GET", "/flush")
        assert status == 200, (folder / "log").read_text()
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE)
    assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("kind", WORKERS)
def test_concurrent_requests_are_each_decided_on(kind: str, tmp_path: Path) -> None:
    """Fifty at once; one approval is used once, whichever process it reaches; a stop loses nothing."""
    with serving(kind, tmp_path) as server, concurrent.futures.ThreadPoolExecutor(50) as pool:
        amounts = [1 + number if number % 2 else 20_000 + number for number in range(50)]
        statuses = list(pool.map(lambda amount: server.refund(amount, ("x-user", f"u{amount}"))[0], amounts))
        assert statuses == [200 if amount < 1000 else 403 for amount in amounts]
        assert server.ran == ["refund"] * 25
        _, held = server.refund(2_000)
        action_id = held["instance"].rpartition(":")[2]
        with server.supervisor() as supervisor:
            ReviewDesk(supervisor.store).resolve(action_id, "approved", None, Principal("dana"))
        approval = ("Supervisor-Approval", action_id)
        again = sorted(pool.map(lambda _: server.refund(2_000, approval)[0], range(50)))
        assert again == [200] + [409] * 49
    with server.store() as store:
        stored = store.decisions(limit=1_000)
    senders = {row.subject: json.loads(row.payload)["amount"] for row in stored if row.subject != "nobody"}
    assert senders == {f"u{amount}": amount for amount in amounts}
    assert len(stored) == 50 + 1 + 50
    assert {row.result for row in stored if row.outcome == "allow"} == {"returned"}


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_client_that_leaves_in_the_middle_of_a_stream_is_recorded(mode: str, kind: str, tmp_path: Path) -> None:
    with serving(kind, tmp_path, mode) as server:
        with server.connect() as connection:
            connection.sendall(message("GET", "/stream?page=1", "flask"))
            assert connection.recv(100_000)
        deadline = time.monotonic() + PATIENCE
        while "closed" not in server.ran:
            assert time.monotonic() < deadline
            server.ask("GET", "/flush")
    with server.store() as store:
        (row,) = store.decisions()
    assert (row.action_type, row.result) == ("stream", "raised")


PATHS = [
    "/refunds/o-1", "//refunds/o-1", "/refunds//o-1", "/refunds/o-1/", "/./refunds/o-1", "/x/../refunds/o-1",
    "/refunds/%6f-1", "/refunds%2Fo-1", "/refunds/o-1%0A", "/refunds/o-1%00", "/refunds/o-1%3Fx", "/refunds/o-1%23",
    "/refunds/o-1;v=2", "/REFUNDS/o-1", "/refunds/%D9%A1", "http://testserver/refunds/o-1", "http://other/refunds/o-1",
    "/refunds/o-1?x=1#y",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["sync", "gevent"])
def test_no_path_runs_a_view_that_was_not_asked_about(kind: str, tmp_path: Path) -> None:
    """Each sent as bytes, with an amount that is denied: the view never runs."""
    with serving(kind, tmp_path) as server:
        for path in PATHS:
            for method in ("POST", "post", "DELETE"):
                for headers in (JSON, [*JSON, ("transfer-encoding", "identity")], [*JSON, ("host", "a:b:c")]):
                    with contextlib.suppress(OSError, ValueError), server.connect() as connection:
                        connection.sendall(message(method, path, "flask", b'{"amount": 20000}', headers))
                        parsed(connection, method)
        assert "refund" not in server.ran
    with server.store() as store:
        allowed = [row for row in store.decisions(limit=1_000) if row.outcome == "allow"]
    assert server.ran.count("cancel") == len(allowed)
