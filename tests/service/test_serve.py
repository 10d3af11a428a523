"""`supervisor-guards serve`: what it prints, on how many processes it serves, and how it ends."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from supervisor_guards import Guard, GuardConfig
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.service.commands import ROOT, serve
from tests.service.serving import ADMIN_TOKEN, POLICY, Caller, body, payload, put_in_force, until

SECRET = re.compile(r"sg[as]_[\w-]{20,}")


def test_a_first_start_prints_what_is_needed_once(tmp_path: Path) -> None:
    with serve(tmp_path) as first:
        admin = {"x-admin-token": re.findall(r"sga_[\w-]+", first.printed)[0]}
        lines = dict(re.findall(r"(SUPERVISOR_\w+)=(\S+)", first.printed))
        assert set(lines) == {"SUPERVISOR_BASE_URL", "SUPERVISOR_APP_ID", "SUPERVISOR_SECRET"}
        assert lines["SUPERVISOR_BASE_URL"] == first.base_url
        guard = Guard(GuardConfig.load({**lines, "SUPERVISOR_ENFORCEMENT_MODE": "enforce"}))
        decision = guard.check("refund", payload(1))
        guard.close()
        assert decision.reasons == ("no-policy",)
        found = httpx.get(f"{first.base_url}/v1/actions/recent", headers=admin, trust_env=False).json()
        assert [one["action_id"] for one in found] == [decision.action_id]
        [made] = httpx.get(f"{first.base_url}/v1/integrations", headers=admin, trust_env=False).json()
        assert (made["name"], made["scopes"]) == ("default", ["*"])
        first.end()
    secrets = SECRET.findall(first.printed)
    assert len(secrets) == 2
    files = [path for path in (tmp_path / ".supervisor").iterdir() if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files for secret in secrets)
    with serve(tmp_path) as second:
        again = httpx.get(f"{second.base_url}/v1/integrations", headers=admin, trust_env=False)
        assert again.status_code == 200
        second.end()
    assert SECRET.findall(second.printed) == []
    assert "SUPERVISOR_" not in second.printed


def test_where_the_settings_bring_an_administrators_token_no_secret_is_printed(tmp_path: Path) -> None:
    with serve(tmp_path, SUPERVISOR_ADMIN_TOKEN=ADMIN_TOKEN) as one:
        admin = {"x-admin-token": ADMIN_TOKEN}
        assert httpx.get(f"{one.base_url}/v1/integrations", headers=admin, trust_env=False).json() == []
        one.end()
    assert SECRET.findall(one.printed) == []
    assert ADMIN_TOKEN not in one.printed
    assert "supervisor-guards integrations create NAME" in one.printed


def integration(url: str, folder: Path) -> Caller:
    """An integration of a service whose processes are not running yet; with a policy."""
    service = Service(ServiceConfig.load({}, database_url=url, state_dir=str(folder)))
    put_in_force(service, POLICY)
    made, secret = service.integrations.create("shop", ["*"], "tests")
    service.close()
    return Caller({"id": made.id, "name": made.name, "shared_secret": secret})


def test_workers_share_one_database_and_lose_nothing_when_they_are_asked_to_end(
    service_url: str, tmp_path: Path
) -> None:
    caller = integration(service_url, tmp_path / ".supervisor")
    acknowledged: list[str] = []
    with serve(tmp_path, "--workers", "2", "--database", service_url, SUPERVISOR_ADMIN_TOKEN=ADMIN_TOKEN) as one:

        def ask(number: int) -> None:
            with caller.client(one.base_url) as http:
                for count in range(10_000):
                    try:
                        told = http.post("/v1/actions/evaluate", json=body(1, id=f"{number}-{count}"))
                    except httpx.TransportError:
                        return  # it has ended
                    if told.status_code == 200:
                        acknowledged.append(told.json()["id"])

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask, number) for number in range(4)]
            until(lambda: len(acknowledged) > 100)
            one.end()
            for caller_ended in asking:
                caller_ended.result()
    assert one.printed.count("Started server process") == 2
    service = Service(ServiceConfig.load({}, database_url=service_url, state_dir=str(tmp_path / ".supervisor")))
    stored = {row.action_id for row in service.store.decisions(limit=100_000)}
    service.close()
    assert set(acknowledged) <= stored


def test_a_long_poll_is_answered_when_the_service_ends(tmp_path: Path) -> None:
    """Left alone it would be cut off when the time to end is over, and its caller would get no answer."""
    url = f"sqlite:///{tmp_path}/service.db"
    caller = integration(url, tmp_path / ".supervisor")
    answers: list[httpx.Response] = []
    with serve(tmp_path, "--database", url) as one, caller.client(one.base_url) as http:
        action_id = http.post("/v1/actions/evaluate", json=body(50)).json()["action_id"]

        def poll() -> None:
            with caller.client(one.base_url) as waiting:
                answers.append(waiting.get(f"/v1/review-cases?action_id={action_id}&wait=30"))

        waiter = threading.Thread(target=poll)
        waiter.start()
        for _ in range(50):  # it is asked by then, as these were
            http.get(f"/v1/review-cases/{action_id}").raise_for_status()
        assert answers == []
        one.end()
        waiter.join()
    assert [case["state"] for case in answers[0].json()] == ["pending"]


def test_a_start_that_cannot_be_says_why_in_one_line(tmp_path: Path) -> None:
    for arguments, says in (
        (["--database", "mysql://db/x"], "mysql"),
        (["--port", "70000"], "70000"),
        (["--workers", "0"], "0"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "supervisor_guards.cli", "serve", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (1, 2)
        assert says in done.stderr
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "supervisor_guards.cli", "serve", "--port", port],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: can't listen on '127.0.0.1', port {port}: Address already in use; choose ")
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
