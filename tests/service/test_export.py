"""Decisions leave the service as JSON lines that `replay` reads; its database is copied, verified and diagnosed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from supervisor_guards.cli import main
from supervisor_guards.service import wakeups
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.service.serving import POLICY, Caller, Running, body, serving, until

AMOUNTS = (1, 60, 500)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def shell(service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A service's database with three decisions, one of them approved, named as the shell names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUPERVISOR_DATABASE_URL", service_url)
    monkeypatch.setenv("SUPERVISOR_STATE_DIR", str(tmp_path / "state"))
    Path("next.yaml").write_text(POLICY.replace("version: 1", "version: 2").replace("> 100", "> 1000"))
    with serving(service_url, tmp_path / "state") as running:
        caller = running.integration()
        with caller.client(running.base_url) as http:
            asked = [http.post("/v1/actions/evaluate", json=body(amount)).json() for amount in AMOUNTS]
        running.resolve(asked[1]["action_id"])
    return caller.id


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_shell_exports_what_replay_reads(shell: str) -> None:
    done = run("export", "out.jsonl")
    assert done.exit_code == 0, done.output
    found = records(Path("out.jsonl").read_text())
    assert [(one["verdict"], one["payload"]["amount"], one["app_id"]) for one in found] == [
        ("allow", 1, shell), ("review", 60, shell), ("deny", 500, shell),
    ]  # fmt: skip
    assert found[1]["review"]["status"] == "approved"
    assert stat.S_IMODE(Path("out.jsonl").stat().st_mode) == 0o600
    replayed = json.loads(run("replay", "out.jsonl", "--policy", "next.yaml", "--json").output)
    totals = {name: replayed["totals"][name] for name in ("actions", "allow", "review", "deny", "broken")}
    assert totals == {"actions": 3, "allow": 1, "review": 2, "deny": 0, "broken": 0}


def test_the_record_of_the_service_verifies(shell: str) -> None:
    done = run("verify", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["decisions"] == 3


def test_doctor_looks_at_the_service(shell: str) -> None:
    checks = {one["name"]: one for one in json.loads(run("doctor", "--json").output)["checks"]}
    assert checks["store"]["state"] == "ok"
    assert "holds decisions" in checks["store"]["details"][0]


def test_without_a_database_named_the_service_of_the_state_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPERVISOR_DATABASE_URL", raising=False)
    monkeypatch.setenv("SUPERVISOR_STATE_DIR", str(tmp_path / "state"))
    Service(ServiceConfig.load()).close()
    done = run("verify", "--json")
    assert done.exit_code == 0, done.output
    assert run("export", "-").exit_code == 0


def test_a_backup_is_a_whole_database_of_one_moment(shell: str, service_url: str, tmp_path: Path) -> None:
    done = run("backup", "copy.db")
    if service_url.startswith("postgresql"):
        assert done.exit_code == 1
        assert "pg_dump" in done.stderr
        return
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(Path("copy.db").stat().st_mode) == 0o600
    assert run("backup", "copy.db").exit_code == 1
    assert run("backup", "copy.db", "--force").exit_code == 0
    values = {"database_url": f"sqlite:///{tmp_path}/copy.db", "state_dir": str(tmp_path / "state")}
    copied = Service(ServiceConfig.load({}, **values))
    assert len(copied.store.decisions()) == 3
    assert copied.integrations.credentials(shell) is not None
    copied.close()


def test_what_a_command_decides_wakes_the_service(shell: str, service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state") as running:
        caller = running.integration()
        with caller.client(running.base_url) as http:
            name = http.post("/v1/actions/evaluate", json=body(70)).json()["action_id"]
            before = running.service.wakeups.seen(wakeups.REVIEWS)
            done = run("reviews", "approve", name, "--as", "bob")
            assert done.exit_code == 0, done.output
            until(lambda: running.service.wakeups.seen(wakeups.REVIEWS) > before)
            assert http.get(f"/v1/review-cases/{name}").json()["status"] == "approved"


# GET /v1/decisions/export


def test_an_administrator_reads_all_decisions_over_the_api(running: Running, http: httpx.Client, shop: Caller) -> None:
    asked = [http.post("/v1/actions/evaluate", json=body(amount)).json()["action_id"] for amount in AMOUNTS]
    with running.admin() as admin, admin.stream("GET", "/v1/decisions/export") as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        found = records("\n".join(answer.iter_lines()))
    own = [one for one in found if one["app_id"] == shop.id]
    assert [one["action_id"] for one in own] == asked
    assert [one["verdict"] for one in own] == ["allow", "review", "deny"]


def test_nobody_else_may(running: Running, shop: Caller) -> None:
    assert httpx.get(f"{running.base_url}/v1/decisions/export", headers=shop.headers).status_code == 403
