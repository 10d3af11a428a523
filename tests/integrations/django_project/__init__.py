"""A Django project for the adapter's tests. `start()` sets Django up, once a process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import django

_folder: tempfile.TemporaryDirectory[str] | Path | None = None


def start(folder: Path | None = None) -> None:
    """Configure Django, and make the project's database in `folder`, by default one of this process."""
    global _folder
    if _folder is not None:
        return
    _folder = folder or tempfile.TemporaryDirectory(prefix="django-project-")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integrations.django_project.settings"
    os.environ["DJANGO_PROJECT_DATABASE"] = str(Path(_folder if folder else _folder.name) / "project.sqlite3")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from supervisor_guards_django import conf

    conf.withdraw()  # tests of other frameworks run in this process, too
