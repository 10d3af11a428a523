"""A Django project for the adapter's tests. `start()` sets Django up, once a process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import django

_database: tempfile.TemporaryDirectory[str] | None = None


def start() -> None:
    """Configure Django, and make the project's database in a folder of this process."""
    global _database
    if _database is not None:
        return
    _database = tempfile.TemporaryDirectory(prefix="django-project-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integrations.django_project.settings"
    os.environ["DJANGO_PROJECT_DATABASE"] = str(Path(_database.name) / "project.sqlite3")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from supervisor_guards_django import conf

    conf.withdraw()  # tests of other frameworks run in this process, too
