"""The adapters' tests on other versions: `python tests/integrations/versions.py ROW [PYTEST ARGUMENTS]`.

Each row has an environment of its own in `.venvs/asgi-ROW`, made anew. `floor` and `middle` run the ASGI adapter's
tests that need no server, `flask-3.0` and `flask-3.1` those of the Flask adapter; `starlette`, `bare` and `flask` check
that an adapter can be imported where others are missing. What the suite
itself is installed with is the newest row. The standard library is enough to run this file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTED = {
    # The last with flat routes, on the first Starlette that has the fix for CVE-2026-48710.
    "floor": ("starlette==1.0.1", "fastapi>=0.136,<0.137"),
    # Route trees, and plain Starlette without `scope["route"]`.
    "middle": ("starlette>=1.6,<1.7", "fastapi>=0.137.2,<0.151"),
}
STARLETTE_ALONE = """
import asyncio, importlib, importlib.util, pkgutil
assert importlib.util.find_spec("fastapi") is None
import supervisor_guards_asgi
for module in pkgutil.iter_modules(supervisor_guards_asgi.__path__, "supervisor_guards_asgi."):
    importlib.import_module(module.name)
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from supervisor_guards import Guard, GuardConfig
from supervisor_guards_asgi import RouteRule, SupervisorMiddleware, supervised_route

guard = Guard(GuardConfig(enforcement_mode="shadow", database_url="memory:"))

@supervised_route("refund", guard=guard)
async def refund(request):
    return PlainTextResponse("ran")

app = Starlette(routes=[Route("/refunds", refund, methods=["POST"])])
app.add_middleware(SupervisorMiddleware, guard=guard, rules=[RouteRule("POST /refunds", "refund")])
scope = {"type": "http", "method": "POST", "path": "/refunds", "headers": [], "query_string": b"", "root_path": ""}
sent = []

async def receive():
    return {"type": "http.request", "body": b"{}", "more_body": False}

async def send(message):
    sent.append(message)

asyncio.run(app(scope, receive, send))
assert sent[0]["status"] == 200, sent
assert guard.flush() and guard.stats().decisions == 1, guard.stats()
guard.close()
"""
NOTHING = """
import supervisor_guards
try:
    import supervisor_guards_asgi
except ImportError as error:
    assert "supervisor-guards[asgi]" in str(error), error
else:
    raise AssertionError("imported without Starlette")
"""
FLASK_ALONE = """
import importlib, importlib.util, pkgutil
assert not any(map(importlib.util.find_spec, ("django", "starlette", "fastapi", "flask_login")))
import supervisor_guards_flask
for module in pkgutil.iter_modules(supervisor_guards_flask.__path__, "supervisor_guards_flask."):
    importlib.import_module(module.name)
from flask import Flask
from supervisor_guards_flask import SupervisorGuards, supervised_view

app = Flask("alone")
app.config["SUPERVISOR_GUARDS"] = {"DATABASE": "memory:", "RULES": [{"route": "POST /refunds", "action": "refund"}]}
guards = SupervisorGuards(app)
app.post("/refunds")(supervised_view("export")(lambda: "ran"))
assert app.test_client().post("/refunds", json={}).text == "ran"
assert guards.guard(app).flush() and guards.guard(app).stats().decisions == 2
guards.close(app)
"""
FLASK = {
    "flask-3.0": ("flask[async]>=3.0,<3.1", "werkzeug>=3.0,<3.1"),
    "flask-3.1": ("flask[async]>=3.1,<3.2", "werkzeug>=3.1,<3.2"),
}
ALONE = {"starlette": (".[asgi]", STARLETTE_ALONE), "bare": (".", NOTHING), "flask": (".[flask]", FLASK_ALONE)}


def main(row: str, arguments: list[str]) -> int:
    """Make the row's environment and run what belongs to it; the exit status."""
    folder = ROOT / ".venvs" / f"asgi-{row}"
    if row in ALONE:
        package, program = ALONE[row]
        python = environment(folder, "-e", package)
        return subprocess.call([python, "-W", "error", "-c", program], cwd=folder)
    tests = "test_flask_*.py" if row in FLASK else "test_asgi_*.py"
    python = environment(folder, "-e", ".", "--group", "test", *{**TESTED, **FLASK}[row])
    files = sorted(path for path in (ROOT / "tests" / "integrations").glob(tests) if "servers" not in path.name)
    command = [python, "-m", "pytest", "-o", f"cache_dir={folder / 'pytest_cache'}", *arguments, *map(str, files)]
    return subprocess.call(command, cwd=ROOT)


def environment(folder: Path, *packages: str) -> str:
    """A new environment in `folder` with `packages`; the path of its interpreter."""
    python = str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        subprocess.check_call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        install = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.check_call([*install, "--upgrade", "pip>=25.1"])
    subprocess.check_call([*install, *packages], cwd=ROOT)
    return python


if __name__ == "__main__":
    rows = (*TESTED, *FLASK, *ALONE)
    if len(sys.argv) < 2 or sys.argv[1] not in rows:
        sys.exit(f"{__doc__}\nROW is one of {', '.join(rows)}")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
