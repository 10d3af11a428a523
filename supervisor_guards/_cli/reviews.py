"""`supervisor-guards reviews`: what waits for a person, and the person's answer."""

from __future__ import annotations

import getpass
import itertools
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, get_args

import click

from supervisor_guards._cli import output
from supervisor_guards._cli.stores import following, opened_desk
from supervisor_guards._config import GuardConfig
from supervisor_guards._desk import Principal, ReviewNotFound, ReviewQuery
from supervisor_guards._model import ReviewStatus

if TYPE_CHECKING:
    from supervisor_guards.embedded.desk import ReviewDesk
    from supervisor_guards.embedded.rows import Review
    from supervisor_guards.embedded.transitions import Resolution
    from supervisor_guards.remote.desk import RemoteDesk

_PREFIX = 8
_CANDIDATES = 5
_TEXT_LIMIT = 60
_TABLE_WIDTH = 150
"""An id alone takes 36 columns; in a narrower terminal a line a review reads better than folded cells."""

Row = tuple[str, ...]


@click.group()
def reviews() -> None:
    """Reviews that wait for a person: list them, look at one, decide it."""


@reviews.command("list")
@click.option(
    "--status",
    type=click.Choice([*get_args(ReviewStatus), "all"]),
    default="pending",
    show_default=True,
    help="Only those that stand so.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many: of the pending ones the first of the queue, else the newest.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_reviews(status: str, limit: int, as_json: bool) -> None:
    """List reviews: pending ones by priority, then the oldest first; others the oldest first."""
    with opened_desk(GuardConfig.load()) as desk:
        cases, more = _chosen(desk, status, limit)
    if as_json:
        import msgspec

        for case in cases:
            output.print_json(msgspec.to_builtins(case), indent=None)
    elif cases:
        _print(cases, status)
        if more:
            click.echo(f"{more} more; `--limit` shows them.")
    else:
        click.echo("Nothing waits for a person." if status == "pending" else "No reviews match.")


@reviews.command()
@click.argument("action_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with the decision it belongs to.")
def show(action_id: str, as_json: bool) -> None:
    """Show one review: what would run, why it waits, who asked."""
    with opened_desk(GuardConfig.load()) as desk:
        case = _found(desk, action_id)
        decision = desk.decision(case.action_id)
    if as_json:
        import msgspec

        output.print_json({**msgspec.to_builtins(case), "decision": msgspec.to_builtins(decision)})
        return
    lines = {
        "id": case.action_id,
        "status": case.status,
        "priority": case.priority,
        "action": case.action_type,
        "route": case.route,
        "who asked": _who(case),
        "asked at": _when(case.created_at),
        "expires at": _when(case.expires_at),
        "reasons": ", ".join(case.reasons),
        "decided by": case.approver,
        "decided at": _when(case.resolved_at),
        "notes": case.notes,
        "ran at": _when(case.used_at),
    }
    for name, value in lines.items():
        if value:
            click.echo(f"{name + ':':<12}{output.safe(value)}")
    for hit in decision.hits if decision else ():
        text = ": ".join(filter(None, (hit.rule_id, hit.action, hit.explanation)))
        click.echo(f"{'rule:':<12}{output.safe(text)}")
    click.echo("payload:")
    for line in _payload_lines(case.payload):
        click.echo(f"  {output.safe(line)}")


def _decides(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments of each command that decides a review."""
    command = click.option(
        "--as", "name", metavar="NAME", help="Who decides, if not the user of this terminal; both are recorded."
    )(command)
    command = click.option("--notes", metavar="TEXT", help="Why; whoever waits gets to read it.")(command)
    return click.argument("action_id", metavar="ID")(command)


@reviews.command()
@_decides
def approve(action_id: str, notes: str | None, name: str | None) -> None:
    """Approve a review: the action may run, once. Nobody approves their own."""
    _decide(action_id, "approved", notes, name)


@reviews.command()
@_decides
def reject(action_id: str, notes: str | None, name: str | None) -> None:
    """Reject a review: the action must not run."""
    _decide(action_id, "rejected", notes, name)


@reviews.command()
@_decides
def abandon(action_id: str, notes: str | None, name: str | None) -> None:
    """Abandon a review that nobody needs; the action must not run."""
    _decide(action_id, "abandoned", notes, name)


def _decide(action_id: str, word: Resolution, notes: str | None, name: str | None) -> None:
    reviewer = _reviewer(name)
    with opened_desk(GuardConfig.load()) as desk:
        case = _found(desk, action_id)
        if word == "abandoned":
            state = desk.abandon(case.action_id, reviewer, notes)
        else:
            state = desk.resolve(case.action_id, word, notes, reviewer)
    click.echo(
        output.safe(
            f"{word} by {state.approver or reviewer.name}: {case.action_type} {_short_payload(case)}, "
            f"asked for by {_who(case)} [action {case.action_id}]"
        )
    )


def _reviewer(name: str | None) -> Principal:
    user = _user()
    if name is None:
        return Principal(user)
    if not name.strip():
        raise click.BadParameter("name the person who decides", param_hint="--as")
    name = name.strip()
    return Principal(f"{name} (command line of {user})", known_as=(name, user))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user that has a number only
        return f"uid {os.getuid()}"


def _found(desk: ReviewDesk | RemoteDesk, action_id: str) -> Review:
    """The review of this action id, or of the only one that begins so. Ends the command otherwise."""
    with suppress(ReviewNotFound):
        return desk.review(action_id)
    if len(action_id) < _PREFIX:
        output.fail(f"no review {action_id!r}; give the id, or at least its first {_PREFIX} characters")
    cases = desk.reviews_named(action_id, _CANDIDATES + 1)
    if not cases:
        output.fail(f"no review {action_id!r}; `supervisor-guards reviews list --status all` lists those there are")
    if len(cases) > 1:
        named = ", ".join(f"{case.action_id} ({case.status})" for case in cases[:_CANDIDATES])
        rest = " and others" if len(cases) > _CANDIDATES else ""
        output.fail(f"{action_id!r} may be any of {named}{rest}; give more of the id")
    return cases[0]


def _chosen(desk: ReviewDesk | RemoteDesk, status: str, limit: int) -> tuple[list[Review], int]:
    """The reviews to list, in order, and how many pending ones there are besides."""
    if status == "pending":
        queue = following(lambda cursor: desk.queue(ReviewQuery(), limit, cursor))
        listed = list(itertools.islice(queue, limit))
        return listed, max(0, desk.waiting() - len(listed))
    query = ReviewQuery(status=None if status == "all" else status)
    found = following(lambda cursor: desk.find_reviews(query, limit, cursor))
    return list(itertools.islice(found, limit))[::-1], 0


def _print(cases: Iterable[Review], status: str) -> None:
    from supervisor_guards.embedded.rows import now_us

    now = now_us()
    columns = ["id", "priority", "age", "expires in", "action", "payload", "reasons", "who asked"]
    if status == "all":
        columns.append("status")
    table = output.console().width >= _TABLE_WIDTH
    rows = [_cells(case, now)[: len(columns)] for case in cases]
    if table:
        output.print_table(columns, rows)
        return
    for row in rows:
        action_id, priority, age, left, action, payload, reasons, who, *rest = map(output.safe, row)
        said = "".join(f"  status={word}" for word in rest)
        click.echo(
            f"{action_id}  {action}  {payload}  reasons={reasons}  asked={who}  age={age}"
            f"  expires-in={left}  priority={priority}{said}"
        )


def _cells(case: Review, now: int) -> Row:
    open_ = case.status in ("pending", "approved")
    return (
        case.action_id,
        case.priority,
        _duration(now - case.created_at),
        _duration(case.expires_at - now) if open_ else "-",
        case.action_type,
        _short_payload(case),
        ", ".join(case.reasons) or "-",
        _who(case),
        case.status,
    )


def _short_payload(case: Review) -> str:
    return output.short(case.payload or "", _TEXT_LIMIT)


def _who(case: Review) -> str:
    """The authenticated subject, and the name that the application gave."""
    return ", ".join(dict.fromkeys(filter(None, (case.subject, case.requester)))) or "unknown"


def _duration(microseconds: int) -> str:
    seconds = max(0, microseconds // 1_000_000)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m" if minutes else f"{seconds}s"


def _when(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _payload_lines(payload: str | None) -> list[str]:
    if payload is None:
        return ["(not kept)"]
    import msgspec

    try:
        # Laid out, not decoded: a number stays as it was written.
        return msgspec.json.format(payload, indent=2).splitlines()
    except msgspec.DecodeError:
        return [payload]
