"""`supervisor-guards decisions --export`: the decision log as JSON lines, which `replay` reads."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from supervisor_guards._cli import output

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.rows import StoredDecision
    from supervisor_guards.embedded.store import Store

STANDARD_OUTPUT = "-"
_PAGE = 500
_LEFT_OUT = frozenset({"id", "payload", "context", "hits", "digest"})
"""What a line says in another way, and what means nothing outside the store."""

_encode = msgspec.json.Encoder().encode


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
    _check(path, force)
    try:
        with _complete(path) as file:
            count = _write(file, store, filters, shows)
    except OSError as error:
        output.fail(f"can't write {path}: {error.strerror or error}; name a file in a folder that you may write to")
    click.echo(f"{output.counted(count, 'decision')} written to {output.safe(str(path))}")


def _check(path: Path, force: bool) -> None:
    """Before the work, not after it."""
    if not os.path.lexists(path):
        return
    if not path.is_file():
        output.fail(f"{path} is no regular file; name a file, or - for standard output")
    if not force:
        output.fail(f"{path} is there already; name another file, or replace it with --force")


@contextmanager
def _complete(path: Path) -> Iterator[BinaryIO]:
    """A new file that gets its name when the block ends well, and else is removed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
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
    count = 0
    for page in _pages(store, filters):
        lines = [_line(row, store) for row in page if shows(row)]
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


def _line(row: StoredDecision, store: Store | MemoryStore) -> bytes:
    fields = {name: value for name, value in msgspec.structs.asdict(row).items() if name not in _LEFT_OUT}
    verdict = (row.outcome if row.enforced else row.would_have) if row.status == "evaluated" else None
    record = {
        "action_type": row.action_type,
        "payload": _json(row.payload),
        "context": _json(row.context),
        "verdict": verdict,
        **fields,
        "review": _review(row, store),
    }
    return _encode(record) + b"\n"


def _json(text: str | None) -> msgspec.Raw | None:
    """Stored JSON on one line, with every digit as it is; None where somebody edited it into something else."""
    try:
        return None if text is None else msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except msgspec.DecodeError:
        return None


def _review(row: StoredDecision, store: Store | MemoryStore) -> dict[str, Any] | None:
    """How the review of `row` stands; None where none was asked for, and where it was purged."""
    if not row.enforced or row.outcome != "review":
        return None
    from supervisor_guards.embedded.errors import ReviewNotFound

    try:
        case = store.case(row.action_id)
    except ReviewNotFound:
        return None
    return {
        "status": case.status,
        "approver": case.approver,
        "notes": case.notes,
        "resolved_at": case.resolved_at,
        "used_at": case.used_at,
    }
