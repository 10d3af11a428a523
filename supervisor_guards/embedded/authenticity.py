"""Whether the record of one action is as it was written: quick enough to ask before its evidence is signed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, select

from supervisor_guards.embedded.cases import case_problem
from supervisor_guards.embedded.evidence import Sealer, same
from supervisor_guards.embedded.rows import COLUMNS, Event
from supervisor_guards.embedded.schema import decisions, events


def authentic(connection: Connection, sealer: Sealer, action_id: str) -> bool:
    """Whether its rows were made with this key and stand as written, and its review as they say.

    What is missing from the record only `verify` finds.
    """
    decided = _rows(connection, decisions, COLUMNS, action_id)
    happened = _rows(connection, events, Event.__struct_fields__, action_id)
    if len(decided) != 1:
        return False
    return (
        all(same(sealer.decision(row[-2], row[:-2]), row[-1]) for row in decided)
        and all(same(sealer.event(row[-2], row[:-2]), row[-1]) for row in happened)
        and case_problem(connection, action_id) is None
    )


def _rows(connection: Connection, table: Table, names: Sequence[str], action_id: str) -> Sequence[Any]:
    columns = [table.c[name] for name in (*names, "segment", "mac")]
    return connection.execute(select(*columns).where(table.c.action_id == action_id)).all()
