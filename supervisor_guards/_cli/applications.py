"""`MODULE:APP` on the command line: the object it names, imported from the current folder."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from typing import Any, NoReturn

import click

from supervisor_guards._cli import output
from supervisor_guards._settings import suggestion
from supervisor_guards.errors import ConfigurationError

_FORM = re.compile(r"(?P<module>[\w.]+):(?P<names>[\w.]+?)(?P<call>\(\))?")


def load(written: str) -> Any:
    """The object that `written`, `module:name` or `module:factory()`, stands for.

    Raises `click.UsageError` where there is no such thing. Ends the command where the module, or the factory,
    fails by itself; a `ConfigurationError` of theirs passes.
    """
    form = _FORM.fullmatch(written)
    if form is None:
        raise click.UsageError(f"{written!r}: write MODULE:APP, for example shop.web:app or shop.web:create_app()")
    found = _module(form["module"])
    for name in form["names"].split("."):
        found = _attribute(found, name, written)
    if not form["call"]:
        return found
    if not callable(found):
        raise click.UsageError(f"{written!r}: {form['names']} is of type {type(found).__name__} and can't be called")
    try:
        return found()
    except ConfigurationError:
        raise
    except Exception as error:
        _failed(f"calling {written}", error)


def _module(name: str) -> Any:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ConfigurationError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise click.UsageError(f"there is no module {error.name!r} in {folder}, nor installed") from None
        _failed(f"importing {name}", error)
    except Exception as error:
        _failed(f"importing {name}", error)


def _attribute(owner: Any, name: str, written: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        public = [one for one in vars(owner) if not one.startswith("_")] if hasattr(owner, "__dict__") else []
        where = getattr(owner, "__name__", type(owner).__name__)
        raise click.UsageError(f"{written!r}: {where} has no {name!r}{suggestion(name, public)}") from None


def _failed(doing: str, error: Exception) -> NoReturn:
    """The application's own failure, with the place in its code."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((one for one in reversed(frames) if not one.filename.startswith("<frozen")), frames[-1])
    output.fail(f"{doing} raised {type(error).__name__}: {error} ({last.filename}:{last.lineno})")
