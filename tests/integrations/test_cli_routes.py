"""`supervisor-guards routes`: what is guarded and what isn't, in the words and exit codes that people and CI get."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent

SHOP = """\
from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from supervisor_guards import supervised
from supervisor_guards_asgi import (
    RouteGuard, RouteRule, SupervisorMiddleware, requires, supervised_exempt, supervised_route,
)

app = FastAPI(openapi_url=None)
router = APIRouter(prefix="/v1")

@router.post("/refunds/{order_id}", name="refund")
def refund(order_id: str): ...

@router.post("/payments")
@supervised_route("payment", mode="enforce")
def pay(): ...

@router.post("/emails", dependencies=[Depends(requires("email_send", payload=["body.to"], mode="sample"))])
def email(): ...

@router.post("/credits")
@supervised_route("credit", mode="shadow")
def credit(): ...

@router.delete("/accounts")
@supervised("account_change")
def account(): ...

@router.post("/login")
@supervised_exempt(reason="moves nothing")
def login(): ...

@router.get("/orders")
def orders(): ...

async def export(request): ...

app.include_router(router, prefix="/api")
app.routes.append(Route("/export", export, methods=["POST"], middleware=[Middleware(RouteGuard, action="data_access")]))
app.add_middleware(
    SupervisorMiddleware,
    rules=[
        RouteRule("POST /api/v1/refunds/{order_id}", "refund", payload=["path.order_id"]),
        RouteRule("POST /api/v1/payments", "payment", mode="shadow"),
        RouteRule("POST /api/v1/credits", "credit", mode="enforce"),
    ],
)
"""
FAULTS = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from supervisor_guards_asgi import SupervisorMiddleware, supervised_route

def late(endpoint):
    registered.append(Route("/emails", endpoint, methods=["POST"]))
    return endpoint

registered = []

@supervised_route("email_send")
@late
async def email(request):
    return PlainTextResponse("sent")

async def pay(request):
    return PlainTextResponse("paid")

async def talk(websocket): ...

def create_app():
    routes = [*registered, Route("/pay", pay, methods=["POST"]), WebSocketRoute("/talk", talk)]
    inner = Starlette(routes=[*routes, Mount("/files", app=StaticFiles(check_dir=False))])
    return SupervisorMiddleware(inner, rules=[{"route": "POST /payments", "action": "payment"}])
"""
UNSTARTED = """\
import atexit, contextlib, pathlib, sys, threading
from starlette.applications import Starlette
from supervisor_guards_asgi import SupervisorMiddleware

@contextlib.asynccontextmanager
async def lifespan(app):
    pathlib.Path("started").touch()
    yield

app = SupervisorMiddleware(Starlette(lifespan=lifespan), rules=[])
atexit.register(lambda: print("threads", threading.active_count(), "sqlite", "sqlalchemy" in sys.modules))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"shop": SHOP, "faults": FAULTS, "unstarted": UNSTARTED}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def routes(folder: Path, *arguments: str, code: int = 0, **environment: str) -> tuple[str, str]:
    """Output and errors of the command, run in `folder` as a process of its own: it imports what it lists."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "supervisor_guards.cli", "routes", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'integrations'}", "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def listed(folder: Path, *arguments: str, code: int = 0, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(routes(folder, *arguments, "--json", code=code, **environment)[0])
    assert found["ok"] is (code == 0)
    return found


def by_path(found: dict[str, Any]) -> dict[str, tuple[str, list[tuple[str, str, str]]]]:
    return {
        one["path"]: (one["state"], [(guard["action"], guard["mode"], guard["by"]) for guard in one["guards"]])
        for one in found["routes"]
    }


def test_every_route_with_its_action_mode_and_who_asks(folder: Path) -> None:
    assert by_path(listed(folder, "shop:app")) == {
        "/api/v1/refunds/{order_id}": ("guarded", [("refund", "shadow", "rule")]),
        "/api/v1/payments": ("guarded", [("payment", "enforce", "route")]),
        "/api/v1/credits": ("guarded", [("credit", "enforce", "rule")]),
        "/api/v1/emails": ("guarded", [("email_send", "sample", "route")]),
        "/api/v1/accounts": ("guarded", [("account_change", "shadow", "route")]),
        "/api/v1/login": ("exempt", []),
        "/api/v1/orders": ("safe", []),
        "/export": ("guarded", [("data_access", "shadow", "route")]),
    }


def test_a_person_reads_a_table(folder: Path) -> None:
    output, errors = routes(folder, "shop:app", "--strict")
    table = [re.split(r"\s{2,}", line.strip()) for line in output.splitlines()]
    rows = {cells[1]: cells for cells in table if len(cells) == 5}
    assert rows["/api/v1/payments"][:4] == ["POST", "/api/v1/payments", "payment", "enforce"]
    assert re.fullmatch(r"shop\.py:\d+", rows["/api/v1/payments"][4])
    assert rows["/api/v1/login"][2] == "exempt: moves nothing"
    assert rows["/api/v1/orders"][2] == "-"
    assert "8 routes: 6 guarded, 0 unguarded, 1 exempt; 0 problems." in output
    assert errors == ""


def test_modes_are_those_of_the_settings_in_force(folder: Path) -> None:
    found = by_path(listed(folder, "shop:app", SUPERVISOR_ENFORCEMENT_MODE="sample"))
    assert found["/api/v1/refunds/{order_id}"][1] == [("refund", "sample", "rule")]
    assert found["/api/v1/payments"][1] == [("payment", "enforce", "route")]
    off = by_path(listed(folder, "shop:app", SUPERVISOR_ENFORCEMENT_MODE="enforce", SUPERVISOR_FORCE_SHADOW="1"))
    assert {guard[1] for _, guards in off.values() for guard in guards} == {"shadow"}


@pytest.mark.parametrize("wrapped", [False, True], ids=["added", "wrapped"])
def test_modes_are_those_of_the_guard_that_the_application_has(folder: Path, wrapped: bool) -> None:
    text = "from supervisor_guards import Guard, GuardConfig\n" + SHOP
    guard = "guard=Guard(GuardConfig(actions={'refund': {'mode': 'sample'}}))"
    text = text.replace("    rules=[\n", f"    {guard},\n    rules=[\n")
    if wrapped:
        text = text.replace("app.add_middleware(\n    SupervisorMiddleware,", "app = SupervisorMiddleware(\n    app,")
    (folder / "guarded.py").write_text(text, encoding="utf-8")
    (folder / "supervisor.yaml").write_text((ROOT / "supervisor_guards/policy/starter.yaml").read_text())
    assert by_path(listed(folder, "guarded:app"))["/api/v1/refunds/{order_id}"][1] == [("refund", "sample", "rule")]


def test_faults_end_with_1_and_say_where(folder: Path) -> None:
    output, errors = routes(folder, "faults:create_app()", code=1)
    no_route, no_endpoint = errors.splitlines()
    assert no_route.startswith("Error: rule 'POST /payments' ('payment') matches no route")
    line = FAULTS.splitlines().index('@supervised_route("email_send")') + 1
    assert no_endpoint.startswith(f"Error: faults.py:{line}: the guard of email ('email_send') is no endpoint")
    assert re.search(r"POST\s+/pay\s+UNGUARDED", output)
    assert re.search(r"WEBSOCKET\s+/talk\s+UNGUARDED", output)
    assert re.search(r"any\s+/files\s+opaque", output)


def test_strict_names_what_is_unguarded(folder: Path) -> None:
    (folder / "open.py").write_text(
        "from starlette.applications import Starlette\nfrom starlette.routing import Route\n"
        "def pay(request): ...\ndef look(request): ...\n"
        "app = Starlette(routes=[Route('/pay', pay, methods=['POST']), Route('/look', look)])\n"
    )
    assert routes(folder, "open:app")[1] == ""
    _, errors = routes(folder, "open:app", "--strict", code=1)
    assert errors.startswith("Error: POST /pay is unguarded: ")
    assert len(errors.splitlines()) == 1
    found = listed(folder, "open:app", "--strict", code=1)
    assert found["unguarded"] == 1


def test_the_application_is_not_started(folder: Path) -> None:
    """No lifespan, no thread, no store, no file: it runs in CI where there is nothing."""
    before = {path.name for path in folder.iterdir()}
    output, _ = routes(folder, "unstarted:app", PYTHONDONTWRITEBYTECODE="1", SUPERVISOR_ENFORCEMENT_MODE="enforce")
    assert "threads 1 sqlite False" in output
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("shop", "'shop': write MODULE:APP, for example shop.web:app"),
        ("shop:create_app(1)", "write MODULE:APP"),
        ("shpo:app", "there is no module 'shpo' in "),
        ("shop:ap", "'shop:ap': shop has no 'ap'; did you mean 'app'?"),
        ("faults:create_app", "is of type function, no application that an adapter knows; if it makes the "),
        ("shop:SupervisorMiddleware", "is the class SupervisorMiddleware, no application"),
        ("faults:registered", "is of type list, no application"),
        ("faults:registered()", "registered is of type list and can't be called"),
    ],
)
def test_what_names_no_application_is_wrong_usage(folder: Path, written: str, text: str) -> None:
    output, errors = routes(folder, written, code=2)
    assert output == ""
    (line,) = errors.splitlines()
    assert text in line


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import nowhere_to_be_found", "importing broken raised ModuleNotFoundError: No module named 'nowhere_to_be"),
        ("a = 1\napp = 1 / 0", "importing broken raised ZeroDivisionError"),
        ("app = (", "importing broken raised SyntaxError"),
        ("def app():\n    raise KeyError('no setting')", "calling broken:app() raised KeyError"),
        (
            "from supervisor_guards_asgi import RouteRule\napp = RouteRule('POST /x', 'x', payload=['bdy.a'])",
            "rule 'POST /x' ('x'): payload: 'bdy.a' reads from 'bdy'; did you mean 'body'?",
        ),
    ],
)
def test_an_application_that_fails_by_itself_is_a_problem_with_its_place(folder: Path, source: str, text: str) -> None:
    (folder / "broken.py").write_text(source, encoding="utf-8")
    _, errors = routes(folder, "broken:app()" if source.startswith("def") else "broken:app", code=1)
    (line,) = errors.splitlines()
    assert text in line


TEXTS = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from supervisor_guards_asgi import SupervisorMiddleware

async def refund(request): ...

rules = [{"route": "POST /refunds", "action": "refund", "payload": ["query.amount"]}]
app = Starlette(routes=[Route("/refunds", refund, methods=["POST"])],
                middleware=[Middleware(SupervisorMiddleware, rules=rules)])
"""
POLICY = """
name: refund.base
version: 1
action: refund
rules:
  - {id: cap, when: payload.amount > 100, action: deny, reason: too-much}
"""


def test_a_text_that_the_policy_compares_with_a_number_is_warned_of(folder: Path) -> None:
    (folder / "texts.py").write_text(TEXTS)
    (folder / "supervisor.yaml").write_text(POLICY)
    _, errors = routes(folder, "texts:app")
    assert errors.startswith("Warning: ")
    assert "query.amount:number" in errors
    (warning,) = listed(folder, "texts:app")["warnings"]
    assert "cap" in warning
    (folder / "supervisor.yaml").write_text("rules: [")
    assert "the policy was not compared with the rules" in routes(folder, "texts:app")[1]
