"""A small Django project whose databases a test chooses; it runs in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
ALIAS = "supervisor"
POLICY = """
name: refunds
version: 1
action: refund
rules:
  - {id: cap, when: payload.amount > 10000, action: deny, reason: too-much}
  - {id: look, when: payload.amount > 1000, action: review, reason: needs-a-look}
"""


def sqlite(path: Path | str, **others: Any) -> dict[str, Any]:
    """An entry of DATABASES for a SQLite file."""
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), **others}


def postgresql(url: str, **others: Any) -> dict[str, Any]:
    """An entry of DATABASES for the database at a test cluster's URL."""
    name, _, folder = url.partition("@/")[2].partition("?host=")
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "tester", "HOST": folder, **others}


_TOGETHER = """
import json, sys
import django
from django.core.management import call_command
django.setup()
for words in json.loads(sys.argv[1]):
    try:
        call_command(*words)
    except SystemExit as done:
        if done.code:
            raise
"""


class Project:
    """The project with these `databases` and `guards` (keys of `SUPERVISOR_GUARDS`), its own files in `folder`."""

    def __init__(self, folder: Path, databases: dict[str, Any], **guards: Any) -> None:
        (folder / "supervisor.yaml").write_text(POLICY)
        self.folder = folder
        self.databases = databases
        self.guards = {"MODE": "enforce", "POLICY": str(folder / "supervisor.yaml"), "STATE_DIR": ".supervisor"}
        self.guards["RULES"] = [
            {"route": name, "action": "refund", "payload": ["body.amount"]} for name in ("by-middleware", "bare")
        ]
        self.guards |= guards
        self.others: dict[str, Any] = {}

    def run(self, *words: str, code: int | None = 0) -> str:
        """What `python WORDS` of this project printed, on both streams; `code` is the exit code wanted, None any."""
        written = {"DATABASES": self.databases, "SUPERVISOR_GUARDS": self.guards, **self.others}
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
        environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.integrations.django_store.settings",
            "DJANGO_STORE": json.dumps(written),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "integrations"))),
            "PYTHONWARNINGS": "error",
        }
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=environ, capture_output=True, text=True, timeout=120
        )
        told = done.stdout + done.stderr
        assert code is None or done.returncode == code, told
        return told

    def manage(self, *words: str, code: int | None = 0) -> str:
        """What `manage.py WORDS` printed."""
        return self.run("-m", "django", *words, code=code)

    def together(self, *commands: Sequence[str]) -> str:
        """What these commands of manage.py printed, one after the other in one process."""
        return self.run("-c", _TOGETHER, json.dumps(commands))

    def migrate(self, *aliases: str) -> None:
        """Migrate these aliases; without any, all there are."""
        self.together(*(("migrate", "--verbosity", "0", "--database", alias) for alias in aliases or self.databases))

    def drive(self, *names: str) -> dict[str, Any]:
        """What the scenarios of `scenarios.py` found, by their names."""
        found = self.run("-m", "tests.integrations.django_store.scenarios", *names)
        (line,) = (line for line in found.splitlines() if line.startswith("{"))
        return {str(name): value for name, value in json.loads(line).items()}
