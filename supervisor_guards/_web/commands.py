"""The engine's commands under a framework's own command: `manage.py supervisor_guards`, `flask supervisor-guards`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

from supervisor_guards._config import GuardConfig
from supervisor_guards._web.coverage import Inspection

ENGINE_COMMANDS = {
    "reviews": ("reviews",),
    "approve": ("reviews", "approve"),
    "reject": ("reviews", "reject"),
    "decisions": ("decisions",),
    "purge": ("purge",),
    "doctor": ("doctor",),
}
"""What the frameworks' commands are called, and the engine's words for them."""


def run_command(
    config: GuardConfig, name: str, words: Sequence[str], prog_name: str, inspection: Inspection | None = None
) -> None:
    """Run the engine's own command as if the settings were its environment. Exits with that command's code.

    `name` is one of `ENGINE_COMMANDS`, or `routes` with the `inspection` of the application.
    """
    # By the entry point: nothing here imports the command line, which stands above.
    (found,) = metadata.entry_points(group="console_scripts", name="supervisor-guards")
    first = ["list"] if name == "reviews" and (not words or words[0].startswith("-")) else []
    with as_environment(config):
        found.load()([*ENGINE_COMMANDS.get(name, (name,)), *first, *words], prog_name=prog_name, obj=inspection)


@contextlib.contextmanager
def as_environment(config: GuardConfig) -> Iterator[None]:
    """The settings as `SUPERVISOR_*` variables, for the length of the block."""
    before = dict(os.environ)
    for field in dataclasses.fields(config):
        variable, value = field.metadata.get("env"), getattr(config, field.name)
        if variable and value not in (None, field.default):
            os.environ[variable] = _text(value)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return ",".join(value) if isinstance(value, tuple) else str(value)
