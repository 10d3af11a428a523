"""The adapters' tests on other versions: `python tests/integrations/versions.py ROW [PYTEST ARGUMENTS]`.

Each row has an environment of its own in `.venvs/ADAPTER-ROW`, made anew. `floor` and `middle` run the ASGI adapter's
tests that need no server, `5.2` to `6.1` those of Django's and `flask-3.0` and `flask-3.1` those of Flask's;
`starlette`, `bare`, `django` and `flask` check that an adapter works where other frameworks are missing. What the suite
itself is installed with is the newest row that its Python can have. The standard library is enough to run this file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASGI = {
    # The last with flat routes, on the first Starlette that has the fix for CVE-2026-48710.
    "floor": ("starlette==1.0.1", "fastapi>=0.136,<0.137"),
    # Route trees, and plain Starlette without `scope["route"]`.
    "middle": ("starlette>=1.6,<1.7", "fastapi>=0.137.2,<0.151"),
}
DJANGO = {
    "5.2": ("django>=5.2,<5.3",),
    # These need Python 3.12.
    "6.0": ("django>=6.0,<6.1",),
    "6.1": ("django>=6.1,<6.2",),
}
FLASK = {
    "flask-3.0": ("flask[async]>=3.0,<3.1", "werkzeug>=3.0,<3.1"),
    "flask-3.1": ("flask[async]>=3.1,<3.2", "werkzeug>=3.1,<3.2"),
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
DJANGO_ALONE = """
import asyncio, importlib, importlib.util, io, pkgutil, sys
from pathlib import Path
for other in ("rest_framework", "ninja", "starlette", "flask"):
    assert importlib.util.find_spec(other) is None, other
from django.conf import settings
settings.configure(
    SECRET_KEY="not-secret", ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["supervisor_guards_django"],
    MIDDLEWARE=["supervisor_guards_django.middleware.SupervisorMiddleware"], DEBUG=False,
    SUPERVISOR_GUARDS={
        "MODE": "enforce", "STATE_DIR": ".supervisor", "POLICY": "policy.yaml",
        "RULES": [{"route": "POST /refunds", "action": "refund", "payload": ["body.amount"]}],
    },
)
Path("policy.yaml").write_text(
    "name: refunds\\nversion: 1\\naction: refund\\nrules:\\n"
    "  - {id: cap, when: payload.amount > 100, action: deny, reason: too-much}\\n"
)
import django
django.setup()
import supervisor_guards_django
needed = {"rest_framework", "ninja", "admin", "deciding"}  # the last two are of Django's admin, not installed here
for module in pkgutil.walk_packages(supervisor_guards_django.__path__, "supervisor_guards_django."):
    if module.name.rpartition(".")[2] not in needed:
        importlib.import_module(module.name)
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import path
urlpatterns = [path("refunds", lambda request: HttpResponse("ran"))]
call_command("check")
client = Client()
answers = [
    client.post("/refunds", {"amount": amount}, content_type="application/json").status_code for amount in (5, 500)
]
assert answers == [200, 403], answers
from supervisor_guards import get_guard
assert get_guard().flush() and get_guard().stats().decisions == 2, get_guard().stats()
get_guard().close()
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
ALONE = {
    "starlette": (".[asgi]", STARLETTE_ALONE),
    "bare": (".", NOTHING),
    "django": (".[django]", DJANGO_ALONE),
    "flask": (".[flask]", FLASK_ALONE),
}
TESTED = {"asgi": ASGI, "django": DJANGO, "flask": FLASK}


def main(row: str, arguments: list[str]) -> int:
    """Make the row's environment and run what belongs to it; the exit status."""
    adapter = next((name for name, rows in TESTED.items() if row in rows), "alone")
    folder = ROOT / ".venvs" / f"{adapter}-{row}"
    if row in ALONE:
        package, program = ALONE[row]
        python = environment(folder, "-e", package)
        return subprocess.call([python, "-W", "error", "-c", program], cwd=folder)
    python = environment(folder, "-e", ".", "--group", "test", *TESTED[adapter][row])
    files = sorted(
        path for path in (ROOT / "tests" / "integrations").glob(f"test_{adapter}_*.py") if "servers" not in path.name
    )
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
    rows = (*ASGI, *DJANGO, *FLASK, *ALONE)
    if len(sys.argv) < 2 or sys.argv[1] not in rows:
        sys.exit(f"{__doc__}\nROW is one of {', '.join(rows)}")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
