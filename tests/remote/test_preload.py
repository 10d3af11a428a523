"""gunicorn with `--preload`: workers forked from a process whose guard has asked the service already."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor_guards.embedded.store import Store
from tests.service.commands import ROOT, serve
from tests.service.serving import PATIENCE, POLICY

WORKERS = 2
CALLS = 200
EACH = 4
"""Calls of one request, by threads of the worker."""


@contextmanager
def preloaded(folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """The address of the application on gunicorn; it has ended, in order, when the block is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    path = os.pathsep.join((str(ROOT), str(ROOT / "integrations")))
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener, (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--log-level", "warning",
                "--preload", "--workers", str(WORKERS), "tests.remote.preloaded_app:app",
            ],
            cwd=folder, env={**kept, **settings, "PYTHONPATH": path, "ALL_WORKERS": str(WORKERS)},
            pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield address
    finally:
        process.terminate()
        code = process.wait(PATIENCE)
    said = (folder / "log").read_text()
    assert code == 0, said
    assert "Traceback" not in said


@pytest.mark.timeout(180)
def test_forked_workers_get_the_verdicts_of_their_own_questions(tmp_path: Path) -> None:
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    amounts = [number / 10 if number % 2 else 1_000 + number for number in range(CALLS)]
    requests = [amounts[first : first + EACH] for first in range(0, CALLS, EACH)]
    with serve(tmp_path) as service:
        settings = dict(re.findall(r"(SUPERVISOR_\w+)=(\S+)", service.printed))
        with preloaded(tmp_path, settings) as address, httpx.Client(trust_env=False, timeout=PATIENCE) as http:
            first = http.get(f"{address}/ready").raise_for_status().json()

            def ask(some: list[float]) -> dict[str, Any]:
                answer = http.post(f"{address}/refunds", json={"amounts": some})
                return dict(answer.raise_for_status().json())

            with ThreadPoolExecutor(4 * WORKERS) as clients:
                answers = list(clients.map(ask, requests))
        service.end()

    told = [tuple(each) for answer in answers for each in answer["told"]]
    assert [(amount, outcome) for amount, outcome, _ in told] == [
        (amount, "allow" if amount < 50 else "deny") for amount in amounts
    ]
    by = Counter(answer["worker"] for answer in answers)
    assert by.keys().isdisjoint({first["master"]})
    assert list(by.values()) == [len(requests) // WORKERS] * WORKERS

    with closing(Store(f"sqlite:///{tmp_path}/.supervisor/service.db")) as store:
        stored = {
            row.action_id: (json.loads(row.payload)["amount"], row.outcome) for row in store.decisions(limit=1_000)
        }
    asked = {action_id: (amount, outcome) for amount, outcome, action_id in told}
    assert len(asked) == CALLS
    assert stored == {first["warmed"]: (1, "allow"), **asked}
