"""What every command prints with: tables for people, JSON for programs, one line an error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from supervisor_guards.errors import ConfigurationError, GuardError

FINE, PROBLEM, USAGE, INTERRUPTED = 0, 1, 2, 130
_PIPE_WIDTH = 200

STYLES = {
    "deny": "red",
    "would deny": "red",
    "review": "yellow",
    "would review": "yellow",
    "problem": "red",
    "failed": "red",
    "warning": "yellow",
    "unknown": "yellow",
    "allow": "green",
    "ok": "green",
}


class Commands(click.Group):
    """A group that says every expected error in one line on stderr, and answers its exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run and exit: 0 fine, 1 a problem was found, 2 wrong usage, 130 interrupted."""
        run: Callable[..., Any] = super().main
        if not extra.pop("standalone_mode", True):
            return run(*args, standalone_mode=False, **extra)
        _print_anything()
        try:
            code = run(*args, standalone_mode=False, **extra)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else self.name
            complain(f"{error.format_message()} (see `{command} --help`)")
            sys.exit(USAGE)
        except click.ClickException as error:
            complain(error.format_message())
            sys.exit(error.exit_code)
        except ConfigurationError as error:
            for problem in error.problems:
                complain(problem)
            sys.exit(PROBLEM)
        except GuardError as error:
            complain(str(error))
            sys.exit(PROBLEM)
        except click.Abort:
            complain("interrupted")
            sys.exit(INTERRUPTED)
        # What `ctx.exit` was given comes back as the value; a command itself returns nothing.
        sys.exit(code if isinstance(code, int) else FINE)


def _print_anything() -> None:
    """A terminal that lacks a character gets its escape, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def safe(text: str) -> str:
    """`text` without what a terminal would act on: control and formatting characters are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def short(text: str, limit: int) -> str:
    """The first `limit` characters of `text`."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 rule`, `2 rules`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def complain(message: str) -> None:
    """One line on stderr."""
    click.echo(f"Error: {safe(' '.join(message.split()))}", err=True)


def warn(message: str) -> None:
    """One line on stderr, for what is probably not meant."""
    click.echo(f"Warning: {safe(' '.join(message.split()))}", err=True)


def fail(message: str) -> NoReturn:
    """End with exit code 1 and one line on stderr."""
    raise click.ClickException(message)


def console() -> Console:
    """Standard output; what isn't a terminal gets no colours and room for whole rows."""
    terminal = sys.stdout.isatty()
    width = None if terminal or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def cell(value: object) -> Text:
    """`value` for a table: escaped, never read as markup, coloured where it is a verdict."""
    text = safe(str(value))
    return Text(text, style=STYLES.get(text, ""), overflow="fold")


def print_table(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str | None = None) -> None:
    """A table in which nothing is cut off: long cells go on in the next line."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*map(cell, row))
    screen = console()
    if title:
        screen.print(Text(safe(title), style="bold"))
    screen.print(made)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """`value` as JSON on standard output, in ASCII: any reader and any terminal can take it."""
    click.echo(json.dumps(value, indent=indent))


def progress(shown: bool = True, *columns: str | ProgressColumn) -> Progress:
    """A progress bar on stderr, for people only, gone when the work is done."""
    bar = Console(stderr=True)
    return Progress(*columns, console=bar, transient=True, disable=not (shown and bar.is_terminal))
