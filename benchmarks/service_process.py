"""A `supervisor-guards serve` of its own for what is measured, and the integration that calls it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import workload

_ADMIN = "the-administrators-token-of-the-benchmark"


class Served:
    """A `serve` command, and the integration that calls it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        import httpx

        self.port = port
        self._process = process
        self.admin = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"x-admin-token": _ADMIN}, trust_env=False, timeout=60
        )
        self._ready()
        made = self.admin.post("/v1/integrations", json={"name": f"shop-{port}"}).raise_for_status().json()
        self.app_id, self.secret = made["id"], made["shared_secret"]

    def _ready(self) -> None:
        import httpx

        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if self.admin.get("/readyz").status_code == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError("the service did not start")

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def authorization(self) -> str:
        """The header of the integration."""
        import jwt

        now = int(time.time())
        return "Bearer " + jwt.encode({"sub": self.app_id, "iat": now, "exp": now + 3_000}, self.secret, "HS256")

    def memory(self) -> float:
        """Resident megabytes of the process that serves."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1_024


@contextlib.contextmanager
def served(url: str, folder: Path, workers: int) -> Iterator[Served]:
    """The command on a database, with a policy of 100 rules none of which matches."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    policy = folder / "policy.yaml"
    policy.write_text(workload.policy(workload.conditions(100)))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    environment = {
        **kept, "SUPERVISOR_DATABASE_URL": url, "SUPERVISOR_STATE_DIR": str(folder / "state"),
        "SUPERVISOR_ADMIN_TOKEN": _ADMIN, "SUPERVISOR_POLICY": str(policy),
    }  # fmt: skip
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor_guards.cli", "serve", "--port", str(port), "--workers", str(workers)],
            cwd=Path(__file__).parents[1], env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        one = Served(port, process)
        yield one
        one.admin.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
