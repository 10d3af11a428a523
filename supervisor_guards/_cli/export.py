"""`supervisor-guards export`, `decisions --export`: the decision log as JSON lines, which `replay` reads; `backup`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from supervisor_guards._cli import output

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.rows import StoredDecision
    from supervisor_guards.embedded.store import Store

STANDARD_OUTPUT = "-"
_PAGE = 500


def export(
    store: Store | MemoryStore,
    target: str,
    filters: dict[str, Any],
    shows: Callable[[StoredDecision], bool],
    *,
    force: bool,
) -> None:
    """Write the decisions that `filters` and `shows` leave to the file `target`, oldest first.

    `-` is standard output. The file appears when it is complete, with mode 0600. Ends the command where it is
    there already, unless `force`, and where it can't be written.
    """
    if target == STANDARD_OUTPUT:
        count = _write(sys.stdout.buffer, store, filters, shows)
        click.echo(f"{output.counted(count, 'decision')} written", err=True)
        return
    path = Path(target)
    check(path, force)
    try:
        with complete(path) as file:
            count = _write(file, store, filters, shows)
    except OSError as error:
        output.fail(f"can't write {path}: {error.strerror or error}; name a file in a folder that you may write to")
    click.echo(f"{output.counted(count, 'decision')} written to {output.safe(str(path))}")


def check(path: Path, force: bool) -> None:
    """End the command before the work, not after it, where `path` can't be written or is there already."""
    if not os.path.lexists(path):
        return
    if not path.is_file():
        output.fail(f"{path} is no regular file; name a file, or - for standard output")
    if not force:
        output.fail(f"{path} is there already; name another file, or replace it with --force")


@contextmanager
def complete(path: Path) -> Iterator[BinaryIO]:
    """A new file (its `name` is a temporary one) that gets its name when the block ends well, and else is removed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)  # mode 0600
    os.close(handle)
    try:
        with open(name, "r+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _write(
    file: BinaryIO, store: Store | MemoryStore, filters: dict[str, Any], shows: Callable[[StoredDecision], bool]
) -> int:
    from supervisor_guards.embedded.lines import line_of

    count = 0
    for page in _pages(store, filters):
        lines = [line_of(row, store) for row in page if shows(row)]
        file.write(b"".join(lines))
        count += len(lines)
    file.flush()
    return count


def _pages(store: Store | MemoryStore, filters: dict[str, Any]) -> Iterable[list[StoredDecision]]:
    """What is there now, oldest first: a log that is being written to would never end."""
    newest = store.decisions(1)
    last = newest[0].id if newest else 0
    with output.progress() as bar:
        task = bar.add_task("exporting", total=last)
        after = 0
        while after < last and (page := store.decisions(_PAGE, after=after, **filters)):
            after = page[-1].id
            yield [row for row in page if row.id <= last]
            bar.update(task, completed=after)
