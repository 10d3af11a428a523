"""What an import costs and what it may touch."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "supervisor_guards"
ADAPTERS = sorted((ROOT / "integrations").glob("supervisor_guards_*"))
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")},
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "integrations")]),
}

# Imports each module by itself: a forked child has loaded nothing but the interpreter's own start.
IMPORT_EACH_ALONE = """
import importlib, os, sys, traceback
broken = []
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        broken.append(name)
sys.exit("can't be imported alone: " + ", ".join(broken) if broken else 0)
"""


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def modules() -> list[str]:
    """Dotted names of the package's modules.

    Migrations are run by Alembic, never imported by name; the service needs its extra and has its own tests.
    """
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if "migrations" in parts or parts[1] == "service" or parts[-1] == "__main__":
            continue
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Top-level names in `sys.modules` after what an adapter imports, in a fresh process."""
    code = "import json, sys, supervisor_guards, supervisor_guards.web; print(json.dumps(sorted(sys.modules)))"
    done = python("-c", code, cwd=tmp_path_factory.mktemp("elsewhere"))
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize(
    "heavy",
    [
        "django", "flask", "starlette", "fastapi", "sqlalchemy", "alembic", "httpx", "httpcore",
        "click", "rich", "regex", "psycopg", "jinja2", "uvicorn",
    ],
)  # fmt: skip
def test_import_leaves_unloaded(loaded: set[str], heavy: str) -> None:
    assert heavy not in loaded


def test_import_leaves_no_trace(tmp_path: Path) -> None:
    """No thread, no file, no output: everything is made on first use."""
    code = "import threading, supervisor_guards; print(threading.active_count())"
    done = python("-c", code, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert list(tmp_path.iterdir()) == []


def test_every_module_is_importable_alone(tmp_path: Path) -> None:
    done = python("-c", IMPORT_EACH_ALONE, *modules(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_adapters_are_importable_alone(tmp_path: Path) -> None:
    names = [path.name for path in ADAPTERS]
    assert names == ["supervisor_guards_asgi", "supervisor_guards_django", "supervisor_guards_flask"]
    done = python("-c", IMPORT_EACH_ALONE, *names, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda path: path.name)
def test_adapter_uses_public_names_only(adapter: Path) -> None:
    """An adapter gets by with what a third party's adapter could use."""
    public = {"supervisor_guards", "supervisor_guards.web", "supervisor_guards.errors", "supervisor_guards.cli"}
    private = []
    for path in adapter.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [(node.module or "", alias.name) for alias in node.names]
            else:
                continue
            for module, name in names:
                ours = module.partition(".")[0] == "supervisor_guards"
                if ours and (module not in public or name.startswith("_")):
                    private.append(f"{path.relative_to(ROOT)}:{node.lineno}: {module} {name}".rstrip())
    assert private == []
