"""The wheel a user installs: what is in it, and that it works away from this folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "supervisor_guards": ROOT / "supervisor_guards",
    "supervisor_guards_asgi": ROOT / "integrations" / "supervisor_guards_asgi",
    "supervisor_guards_django": ROOT / "integrations" / "supervisor_guards_django",
    "supervisor_guards_flask": ROOT / "integrations" / "supervisor_guards_flask",
}

POLICY = """\
name: refund.base
version: 1
action: refund
rules:
  - {id: hard-cap, when: payload.amount > 10000, action: deny, reason: amount-exceeds-hard-cap}
"""

PROGRAM = """\
import json

import supervisor_guards
from supervisor_guards import SupervisorBlocked, configure, guarded

configure(enforcement_mode="enforce")
paid = []
small = guarded("refund", {"amount": 50}, lambda amount: paid.append(amount) or "paid", 50)
try:
    guarded("refund", {"amount": 20000}, paid.append, 20000)
except SupervisorBlocked as error:
    blocked = {"decision": error.decision, "reasons": error.reasons, "referenced": bool(error.action_id)}
else:
    blocked = None
print(json.dumps({"small": small, "paid": paid, "blocked": blocked, "from": supervisor_guards.__file__}))
"""


WEB = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from supervisor_guards_asgi import RouteRule, SupervisorMiddleware


async def refund(request):
    return PlainTextResponse("refunded")


app = Starlette(routes=[Route("/refunds", refund, methods=["POST"])])
app.add_middleware(SupervisorMiddleware, rules=[RouteRule("POST /refunds", "refund", payload=["body.amount"])])
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command away from this checkout's import paths; its output, or its whole error as the failure."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SUPERVISOR_") and name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**clean, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def built(folder: Path, suffix: str) -> Path:
    (only,) = folder.glob(f"*{suffix}")
    return only


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the unpacked source distribution: what is missing there is missing here."""
    work = tmp_path_factory.mktemp("build")
    build = (sys.executable, "-m", "build", "--no-isolation")
    run(*build, "--sdist", "--outdir", work / "sdist", ROOT, cwd=work)
    with tarfile.open(built(work / "sdist", ".tar.gz")) as archive:
        archive.extractall(work / "unpacked", filter="data")
    run(*build, "--wheel", "--outdir", work / "wheel", built(work / "unpacked", ""), cwd=work)
    return built(work / "wheel", ".whl")


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_top_level_names_are_the_four_packages(names: set[str]) -> None:
    top = {name.partition("/")[0] for name in names}
    (metadata,) = (name for name in top if name.endswith(".dist-info"))
    assert top - {metadata} == set(PACKAGES)


def test_wheel_holds_every_file_of_the_packages(names: set[str]) -> None:
    """Templates, migrations and the starter policy included, and nothing that isn't in the source."""
    source = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == source


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed(names: set[str], package: str) -> None:
    assert f"{package}/py.typed" in names


def test_licence_ships(names: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a fresh environment with the wheel and its runtime dependencies, and those of the extras in `[...]`."""

    def make(extras: str) -> Path:
        work = tmp_path_factory.mktemp("installed")
        environment = work / "environment"
        python = environment / "bin" / "python"
        if uv := shutil.which("uv"):
            run(uv, "venv", "--python", sys.executable, environment, cwd=work)
            run(uv, "pip", "install", "--python", python, f"{wheel}{extras}", cwd=work)
        else:
            run(sys.executable, "-m", "venv", environment, cwd=work)
            run(python, "-m", "pip", "install", f"{wheel}{extras}", cwd=work)
        return environment

    return make


def test_installed_wheel_guards_an_action(install: Callable[[str], Path], tmp_path: Path) -> None:
    """With runtime dependencies only, used from a folder of its own."""
    environment = install("")
    python = environment / "bin" / "python"
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")

    policy = str(tmp_path / "policy.yaml")
    answer = json.loads(run(python, "-W", "error", "program.py", cwd=tmp_path, SUPERVISOR_POLICY=policy))

    assert Path(answer["from"]).is_relative_to(environment)
    assert answer["small"] == "paid"
    assert answer["paid"] == [50]
    blocked = {"decision": "deny", "reasons": ["amount-exceeds-hard-cap"], "referenced": True}
    assert answer["blocked"] == blocked
    assert "Usage" in run(environment / "bin" / "supervisor-guards", "--help", cwd=tmp_path)


def test_installed_wheel_lists_the_routes_of_an_application(install: Callable[[str], Path], tmp_path: Path) -> None:
    """With the extra and nothing more: no FastAPI, no server."""
    environment = install("[asgi]")
    (tmp_path / "shop.py").write_text(WEB, encoding="utf-8")
    where = "import supervisor_guards_asgi; print(supervisor_guards_asgi.__file__)"
    file = run(environment / "bin" / "python", "-W", "error", "-c", where, cwd=tmp_path)
    assert Path(file.strip()).is_relative_to(environment)
    command = environment / "bin" / "supervisor-guards"
    found = json.loads(run(command, "routes", "shop:app", "--strict", "--json", cwd=tmp_path))
    (route,) = found["routes"]
    assert (route["path"], route["endpoint"]) == ("/refunds", "shop.py:8")
    assert route["guards"] == [{"action": "refund", "mode": "shadow", "by": "rule"}]
