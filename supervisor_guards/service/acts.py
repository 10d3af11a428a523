"""What administrators do, as events of the record: sealed into the same chain as decisions and reviews.

They stand among all other events. Indexes of the acts alone, in the service's own migration, find them by number, by
who did them, and by the kind of what they were done to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec
from sqlalchemy import ColumnElement, Connection, Text, literal_column, select

from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.schema import events as table
from supervisor_guards.service.schema import integrations, people, subscriptions

__all__ = ["KINDS", "Act", "Kind", "act", "find", "names"]

Kind = Literal["integration", "person", "policy", "token", "webhook"]
"""What acts are done to."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_NAMES = {"integration": integrations.c.name, "person": people.c.name, "webhook": subscriptions.c.url}
# No parameters: each index is of such acts alone, and a database has to see that when it plans.
_IS_ACT: ColumnElement[bool] = table.c.kind == literal_column("'act'")
_OF_KIND: dict[str, ColumnElement[bool]] = {
    kind: literal_column(f"substr(action_id, 1, {len(kind) + 1})", Text()) == literal_column(f"'{kind}:'")
    for kind in KINDS
}


class Act(msgspec.Struct, frozen=True):
    """One of them. `subject` is the id of what it was done to (a policy's label); `time` is in microseconds."""

    id: int
    time: int
    kind: str
    subject: str
    by: str
    what: str


def act(kind: Kind, subject: str, by: str, what: str) -> Event:
    """The event of an administrative act: `by` did `what` to the `kind` named `subject`."""
    return Event(action_id=f"{kind}:{subject}", time=now_us(), kind="act", actor=by, notes=what)


def find(
    held: Connection,
    limit: int,
    before: int | None = None,
    *,
    by: str | None = None,
    kind: Kind | None = None,
    about: str | None = None,
) -> list[Act]:
    """A page of acts, newest first; `before` is the last one's `id` of the page before.

    `by` is who did them, `kind` one of `KINDS`, `about` what they were done to (`person:ID`).
    """
    query = select(table).where(_IS_ACT).order_by(table.c.id.desc()).limit(limit)
    if by is not None:
        query = query.where(table.c.actor == by)
    if kind is not None:
        query = query.where(_OF_KIND[kind])
    if about is not None:
        query = query.where(table.c.action_id == about)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_act(row.id, row.time, row.action_id, row.actor, row.notes) for row in held.execute(query)]


def names(held: Connection, acts: Sequence[Act]) -> dict[tuple[str, str], str]:
    """What people call the subjects of `acts`, by kind and id, where there is another name for them."""
    found: dict[tuple[str, str], str] = {}
    for kind, column in _NAMES.items():
        ids = list({one.subject for one in acts if one.kind == kind})
        if ids:
            rows = held.execute(select(column.table.c.id, column).where(column.table.c.id.in_(ids)))
            found.update({(kind, row[0]): row[1] for row in rows})
    return found


def _act(number: int, time: int, action_id: str, actor: str | None, notes: str | None) -> Act:
    kind, _, subject = action_id.partition(":")
    return Act(number, time, kind, subject, actor or "", notes or "")
