"""`supervisor-guards export`: the decisions as JSON lines; `backup`: the whole database, as it is at one moment."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.export import check, complete
from supervisor_guards._cli.export import export as write
from supervisor_guards._cli.stores import existing_store, shown_url, store_file, store_url
from supervisor_guards._config import GuardConfig


@click.command()
@click.argument("target", metavar="FILE")
@click.option("--force", is_flag=True, help="Replace the file.")
def export(target: str, force: bool) -> None:
    """Write all decisions to FILE as JSON lines, oldest first, for `replay`; - is standard output.

    It reads what SUPERVISOR_DATABASE_URL names, an application's record or a service's; else what is in the state
    folder. Of a service that runs elsewhere, an administrator reads the same at GET /v1/decisions/export.
    """
    with closing(existing_store(GuardConfig.load())) as store:
        write(store, target, {}, lambda row: True, force=force)


@click.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file.")
def backup(target: Path, force: bool) -> None:
    """Copy the SQLite database to FILE, complete and of one moment, while it is in use.

    Keep the state folder's key file with it, or SUPERVISOR_MASTER_KEY: without them no secret can be read, and
    `verify` can't check the record. A PostgreSQL server has tools of its own: pg_dump.
    """
    config = GuardConfig.load()
    file = store_file(config)
    if file is None:
        output.fail(f"{shown_url(store_url(config))} is no SQLite file: back it up with pg_dump")
    existing_store(config).close()  # it is there, and of a schema that this release knows
    check(target, force)
    try:
        with (
            complete(target) as copied,
            closing(sqlite3.connect(file)) as source,
            closing(sqlite3.connect(copied.name)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except OSError as error:
        output.fail(f"can't write {target}: {error.strerror or error}; name a file in a folder that you may write to")
    click.echo(f"{output.safe(str(file))} copied to {output.safe(str(target))}")
