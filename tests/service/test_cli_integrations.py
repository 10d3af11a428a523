"""`supervisor-guards integrations`: made, listed, rotated and ended from the shell."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor_guards.cli import main
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.service.serving import Caller, body, serving

LINES = re.compile(r"SUPERVISOR_BASE_URL=(\S+)\nSUPERVISOR_APP_ID=(\S+)\nSUPERVISOR_SECRET=(\S+)\n")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["integrations", *arguments], env={"SUPERVISOR_DATABASE_URL": None})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def lines(*arguments: str) -> tuple[str, Caller]:
    """The address and the caller that a command printed."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    match = LINES.fullmatch(result.output)
    assert match is not None, result.output
    return match[1], Caller({"id": match[2], "name": arguments[1], "shared_secret": match[3]})


def test_an_integration_from_the_shell_works_and_is_rotated_and_revoked(service_url: str, tmp_path: Path) -> None:
    database = ("--database", service_url)
    address, shop = lines("create", "shop", "--scopes", "refund, payment", "--per-minute", "9", *database)
    assert address == "http://127.0.0.1:8787"
    with serving(service_url, tmp_path / ".supervisor") as running:
        with shop.client(running.base_url) as http:
            assert http.post("/v1/actions/evaluate", json=body(1)).status_code == 200
            assert http.post("/v1/actions/evaluate", json=body(1, "other")).status_code == 403
        address, renewed = lines("rotate", "shop", "--url", "https://guard.example", *database)
        assert (address, renewed.id) == ("https://guard.example", shop.id)
        assert renewed.secret != shop.secret
    listed = json.loads(run("list", "--json", *database).output)
    assert (listed["name"], listed["scopes"], listed["per_minute"]) == ("shop", ["refund", "payment"], 9)
    assert "secret" not in str(listed)
    ended = run("revoke", shop.id, *database)
    assert (ended.exit_code, ended.output) == (0, "shop is revoked\n")
    assert "revoked" in run("list", *database).output
    service = Service(ServiceConfig.load({}, database_url=service_url))
    noted = acts(service)
    service.close()
    done = [what.partition(" ")[0] for what in noted]
    assert [what for what in done if what in ("created", "rotated", "revoked")] == ["created", "rotated", "revoked"]


def acts(service: Service) -> list[str]:
    """What administrators did, as the record has it."""
    with service.store.reading() as held:
        found = held.exec_driver_sql("SELECT notes FROM sg_events WHERE kind = 'act' ORDER BY segment, id")
        return [row[0] for row in found]


def test_what_cannot_be_is_said_in_one_line() -> None:
    lines("create", "shop")
    for arguments, says in (
        (("create", "shop"), "there is an integration named 'shop' already: choose another name"),
        (("create", " "), "name: give 1 to 200 printable characters"),
        (("create", "x", "--scopes", "a\x00b"), "scopes: give 1 to 1000 action types"),
        (("rotate", "bank"), "there is no integration named 'bank': `integrations list` shows them"),
        (("revoke", "bank"), "there is no integration named 'bank'"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert says in result.output
    assert run("revoke", "shop").exit_code == 0
    again = run("rotate", "shop")
    assert (again.exit_code, again.output) == (1, "Error: integration not found or revoked\n")


def test_listing_none_is_no_fault() -> None:
    assert run("list").exit_code == 0
