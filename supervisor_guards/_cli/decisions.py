"""`supervisor-guards decisions`: the decision log, newest first, as it grows, or as a file."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.export import export
from supervisor_guards._cli.repeating import repeat
from supervisor_guards._cli.stores import existing_store, following, opened_desk
from supervisor_guards._config import GuardConfig
from supervisor_guards._desk import DecisionQuery

if TYPE_CHECKING:
    from supervisor_guards.embedded.desk import ReviewDesk
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.rows import StoredDecision
    from supervisor_guards.embedded.store import Store
    from supervisor_guards.remote.desk import RemoteDesk

_POLL_SECONDS = 1.0
_PAGE = 500
_LIMIT = 20
_TEXT_LIMIT = 60
_TABLE_WIDTH = 120
"""In a narrower terminal, seven columns fold into confetti: a line a decision reads better there."""

# What --outcome takes, as the filter the store understands; `allow` is narrowed further by `_shows`.
OUTCOMES: dict[str, dict[str, str]] = {
    "allow": {"outcome": "allow", "status": "evaluated"},
    "deny": {"outcome": "deny", "status": "evaluated"},
    "review": {"outcome": "review", "status": "evaluated"},
    "would-deny": {"would_have": "deny"},
    "would-review": {"would_have": "review"},
    "unavailable": {"status": "unavailable"},
    "unknown": {"status": "unknown"},
}


@click.command()
@click.option("--follow", is_flag=True, help="Go on with what is written from now; Ctrl-C ends it.")
@click.option("--limit", type=click.IntRange(min=0), show_default=str(_LIMIT), help="How many, newest first.")
@click.option("--action", "action_type", metavar="TYPE", help="Only this action type.")
@click.option("--outcome", type=click.Choice(list(OUTCOMES)), help="Only this outcome.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--export", "target", metavar="FILE", help="Write all of them, oldest first, for `replay`; - is stdout.")
@click.option("--force", is_flag=True, help="Replace the file of --export.")
def decisions(
    follow: bool,
    limit: int | None,
    action_type: str | None,
    outcome: str | None,
    as_json: bool,
    target: str | None,
    force: bool,
) -> None:
    """List recorded decisions. In shadow, `would deny` and `would review` are what enforce would have said."""
    _check_usage(target, force, {"--follow": follow, "--limit": limit is not None, "--json": as_json})
    config = GuardConfig.load()
    filters: dict[str, Any] = {"action_type": action_type, **(OUTCOMES[outcome] if outcome else {})}
    most = _LIMIT if limit is None else limit
    if target is None and not follow:
        with opened_desk(config) as desk:
            rows = list(itertools.islice(_newest(desk, filters, outcome, most), most))
        return (_print_json if as_json else _print_table)(rows)
    with closing(existing_store(config)) as store:
        if target is not None:
            return export(store, target, filters, lambda row: _shows(row, outcome), force=force)
        from supervisor_guards.embedded.desk import ReviewDesk

        start = last_id(store)
        rows = list(itertools.islice(_newest(ReviewDesk(store), filters, outcome, most), most))
        show = _print_json if as_json else _print_lines
        show(rows[::-1])
        _follow(store, start, filters, outcome, show)


def _check_usage(target: str | None, force: bool, others: dict[str, bool]) -> None:
    if target is None and force:
        raise click.UsageError("--force replaces the file of --export FILE; there is none")
    if target is not None:
        for name in (name for name, given in others.items() if given):
            raise click.UsageError(f"--export writes all decisions as JSON lines; leave out {name}")


def label(row: StoredDecision) -> str:
    """What became of the action, in the words of this table."""
    if row.status == "unknown":
        return "unknown"
    if row.status == "unavailable":
        return "unavailable"
    if row.would_have is not None and row.would_have != row.outcome:
        return f"would {row.would_have}"
    return row.outcome


def cells(row: StoredDecision) -> tuple[str, ...]:
    """Action, payload in short, outcome, rules and reasons of `row`."""
    return (
        row.action_type,
        output.short(row.payload or "", _TEXT_LIMIT),
        label(row),
        ", ".join(row.rule_ids) or "-",
        ", ".join(row.reasons) or "-",
    )


def _shows(row: StoredDecision, outcome: str | None) -> bool:
    return outcome != "allow" or label(row) == "allow"


def _newest(
    desk: ReviewDesk | RemoteDesk, filters: dict[str, Any], outcome: str | None, most: int
) -> Iterator[StoredDecision]:
    query, size = DecisionQuery(**filters), max(1, min(_PAGE, most))
    found = following(lambda cursor: desk.find_decisions(query, size, cursor))
    return (row for row in found if _shows(row, outcome))


def last_id(store: Store | MemoryStore) -> int:
    """The id of the newest decision, 0 where there is none: what comes `after` it is new."""
    newest = store.decisions(1)
    return newest[0].id if newest else 0


def _follow(
    store: Store | MemoryStore,
    after: int,
    filters: dict[str, Any],
    outcome: str | None,
    show: Callable[[Iterable[StoredDecision]], None],
) -> None:
    def look() -> bool:
        nonlocal after
        page = store.decisions(_PAGE, after=after, **filters)
        show([row for row in page if _shows(row, outcome)])
        if page:
            after = page[-1].id
        return bool(page)

    repeat(look, _POLL_SECONDS)


def _print_table(rows: Iterable[StoredDecision]) -> None:
    rows = list(rows)
    if not rows:
        click.echo("No decisions match; nothing guarded has run yet, or the filters leave none.")
        return
    if output.console().width < _TABLE_WIDTH:
        return _print_lines(rows)
    columns = ("time (UTC)", "action", "payload", "outcome", "rule", "reason", "action id")
    output.print_table(columns, ((_when(row), *cells(row), row.action_id) for row in rows))


def _print_lines(rows: Iterable[StoredDecision]) -> None:
    for row in rows:
        action, payload, outcome, rules, reasons = map(output.safe, cells(row))
        click.echo(
            f"{_when(row)}  {outcome:<12}  {action}  {payload}  rule={rules}  reason={reasons}  "
            f"mode={row.mode}  id={output.safe(row.action_id)}"
        )


def _print_json(rows: Iterable[StoredDecision]) -> None:
    import msgspec

    for row in rows:
        output.print_json({**msgspec.to_builtins(row), "shown_as": label(row)}, indent=None)


def _when(row: StoredDecision) -> str:
    moment = datetime.datetime.fromtimestamp(row.time / 1_000_000, tz=datetime.timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S")
