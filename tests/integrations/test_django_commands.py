"""`manage.py supervisor_guards`: what it prints, as JSON too, and its exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integrations import contract
from tests.integrations.django_client import DjangoHarness, guarded

from django.core.management import CommandError, call_command  # isort: skip
from django.core.management.base import BaseCommand  # isort: skip

from supervisor_guards_django.management.commands.supervisor_guards import Command

CASES = {case.name: case for case in contract.CASES}


def run(*words: str) -> tuple[int, str]:
    """The command's exit code and what it wrote itself."""
    out = io.StringIO()
    try:
        call_command("supervisor_guards", *words, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    except SystemExit as error:
        return int(error.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_routes_are_listed_with_their_guards(tmp_path: Path) -> None:
    with guarded(tmp_path):
        code, text = run("routes", "--json")
        found = {row["route"]: row for row in map(json.loads, text.splitlines())}
        assert code == 0
        assert found["/refunds/<str:order_id>"]["note"] == "refund, refund.cancel"
        assert found["/refunds/<str:order_id>"]["methods"] == ["DELETE", "POST"]
        assert found["/free"] == {"route": "/free", "methods": None, "name": "free", "state": "unguarded", "note": ""}
        code, text = run("routes", "--strict", "--settings=tests.integrations.django_project.settings")
        assert code == 1
        assert "2 routes that may change something are unguarded" in text


def test_a_rule_for_no_route_is_named_and_fails(tmp_path: Path) -> None:
    with guarded(tmp_path, RULES=[{"route": "POST /refund", "action": "refund"}]):
        code, text = run("routes")
        assert (code, "rule 'POST /refund' ('refund') matches no route" in text) == (1, True)
        code, text = run("check", "--json")
        assert code == 1
        assert "supervisor_guards.E007" in {json.loads(line)["id"] for line in text.splitlines()[:-1]}


def test_reviews_are_decided_with_the_project_s_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with guarded(tmp_path) as guard:
        harness = DjangoHarness(guard, "wsgi")
        held = CASES["held"]
        case = json.loads(harness.send(held).body)["instance"].rpartition(":")[2]
        assert guard.flush()
        capsys.readouterr()
        assert run("reviews", "--json")[0] == 0
        assert case in capsys.readouterr().out
        assert run("approve", case, "--notes", "looks right")[0] == 0
        again = held._replace(headers=(*held.headers, ("supervisor-approval", case)))
        assert (harness.send(again).status, harness.ran) == (200, ["refund"])
        assert harness.send(again).status == 409
        assert guard.flush()
        capsys.readouterr()
        assert run("decisions", "--json")[0] == 0
        assert len(capsys.readouterr().out.splitlines()) >= 2
        assert run("reject", "no-such-case")[0] == 1


def test_wrong_words_are_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with guarded(tmp_path):
        assert run("routes", "--jsn")[0] == 2
        assert run("doctor", "--jsn")[0] == 2
    command: Any = Command()
    assert isinstance(command, BaseCommand)
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("supervisor_guards", "route")
