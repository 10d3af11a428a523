"""`supervisor-guards verify`: is the record as it was written; and `purge`: delete its old end."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import click
import msgspec

from supervisor_guards._cli import output
from supervisor_guards._cli.stores import existing_store
from supervisor_guards._config import GuardConfig
from supervisor_guards.embedded import parts
from supervisor_guards.embedded.anchors import Anchor, read

_SHOWN = 50
_DAY_US = 86_400_000_000


@click.command()
@click.option(
    "--anchor",
    "anchor_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Check against the anchors in this file too: the only way to find a missing end.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(anchor_file: Path | None, as_json: bool) -> None:
    """Check the record against its evidence chain. Exit code 1 when something isn't as it was written.

    It needs the key that signed the record: SUPERVISOR_MASTER_KEY, or the key file of the state folder.
    """
    config = GuardConfig.load()
    anchors = read(anchor_file) if anchor_file is not None else []
    with closing(existing_store(config)) as store:
        started = time.perf_counter()
        report = store.verify([parts.sealer(config)], anchors)
        seconds = time.perf_counter() - started
        end = store.anchor()
    if as_json:
        output.print_json({**msgspec.to_builtins(report), "anchor": end and msgspec.to_builtins(end)})
    else:
        found = [(finding.kind, finding.detail) for finding in report.findings]
        if found:
            output.print_table(("finding", "what"), found[:_SHOWN])
            if len(found) > _SHOWN:
                click.echo(f"and {len(found) - _SHOWN} more: --json lists all of them")
        rows = report.decisions + report.events
        click.echo(
            f"Checked {output.counted(report.decisions, 'decision')} and {output.counted(report.events, 'event')} "
            f"in {output.counted(report.segments, 'segment')}, {output.counted(report.anchors, 'anchor')}; "
            f"{report.purged} more were deleted by retention. {rows / max(seconds, 1e-6):,.0f} rows a second."
        )
        _conclude(len(found), end)
    if report.findings:
        click.get_current_context().exit(output.PROBLEM)


def _conclude(findings: int, end: Anchor | None) -> None:
    if findings:
        click.echo(f"{output.counted(findings, 'finding')}: the record is not as it was written, or not all of it is.")
        return
    click.echo("Everything is as it was written.")
    if end is not None:
        click.echo(
            f"Keep this line elsewhere as an anchor; later `verify --anchor FILE` finds a missing end:\n{end.line}"
        )


@click.command()
@click.option(
    "--older-than", "days", type=click.FloatRange(min=0), metavar="DAYS", help="Else SUPERVISOR_RETENTION_DAYS."
)
@click.option("--yes", is_flag=True, help="Don't ask.")
def purge(days: float | None, yes: bool) -> None:
    """Delete decisions, events and finished reviews that are older. A signed tombstone says that they were there.

    Open reviews stay, and so does everything written after one. Counts and percentiles stay.
    """
    config = GuardConfig.load()
    days = days if days is not None else config.retention_days
    if days is None:
        raise click.UsageError("how old? Give --older-than DAYS, or set SUPERVISOR_RETENTION_DAYS")
    with closing(existing_store(config)) as store:
        if not yes:
            click.confirm(f"Delete what is older than {days:g} days for good?", abort=True)
        gone = store.purge(int(time.time() * 1_000_000 - days * _DAY_US))
        click.echo(f"Deleted {output.counted(gone, 'row')} older than {days:g} days.")
