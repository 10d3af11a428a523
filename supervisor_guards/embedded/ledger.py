"""Appends to the record: decisions and events, sealed into the chain of `evidence`, one segment a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, select

from supervisor_guards.embedded import rows
from supervisor_guards.embedded.evidence import Link, Sealer
from supervisor_guards.embedded.rollups import RollUps
from supervisor_guards.embedded.rows import COLUMNS, DecisionRow, Event
from supervisor_guards.embedded.schema import segments, tombstones

SEALED = (*COLUMNS, "segment", "mac")
"""The columns that a batch gives a decision."""


def head(connection: Connection) -> Link:
    """Where the stored chain ends."""
    for table in (segments, tombstones):
        newest = select(table.c.segment, table.c.head).order_by(table.c.segment.desc()).limit(1)
        found = connection.execute(newest).first()
        if found is not None:
            return Link(*found)
    return Link()


Within = Callable[[Connection, Sequence[DecisionRow], Sequence[Event]], None]
"""Called in the transaction that adds these to the record; it may write beside them."""


class Ledger:
    """Writes through `driver`, sealing with `sealer`. The caller holds the writer's connection.

    It remembers the chain's end. A driver that `GUESSES` can then write without a transaction around it: where
    another process wrote meanwhile, the segment's number is taken, and one of the driver's `DUPLICATE` says so.
    With a `within`, there is always a transaction for it to be in.
    """

    def __init__(
        self, sealer: Sealer, driver: ModuleType, clock: Callable[[], int], within: Within | None = None
    ) -> None:
        self.sealer = sealer
        self._within = within
        self._driver = driver
        self._clock = clock
        self._end: Link | None = None
        self._appended: Link | None = None

    @property
    def guesses(self) -> bool:
        """Whether the next `append` may go without a transaction."""
        return bool(self._driver.GUESSES) and self._end is not None and self._within is None

    def append(
        self,
        held: Connection,
        decisions: Sequence[DecisionRow] = (),
        events: Sequence[Event] = (),
        *,
        drops: int = 0,
        reason: str = "",
        guess: bool = False,
    ) -> int:
        """Store them, with their roll-ups; the number of their segment. Without `guess`, within a transaction."""
        before = self._end if guess else head(held)
        if before is None:
            raise ValueError("guess needs an end that is remembered")
        now = self._clock()
        segment = before.segment + 1
        sums = RollUps.empty()
        sums.add(decisions)
        beside: dict[str, list[dict[str, Any]]] = sums.records()
        if drops:
            beside["sg_drops"] = [{"time": now, "count": drops, "reason": reason}]
        sealed = [self._sealed(segment, rows.parameters(row)) for row in decisions]
        beside["sg_events"] = happened = [self._record(segment, event) for event in events]
        if sealed or happened:
            link = self.sealer.link(before, now, [row[-1] for row in sealed], [event["mac"] for event in happened])
            beside["sg_segments"] = [
                {
                    "segment": link.segment,
                    "time": now,
                    "decisions": len(sealed),
                    "events": len(happened),
                    "head": link.head,
                    "key_id": self.sealer.key_id,
                }
            ]
            self._appended = link
        tables = {name for name, records in beside.items() if records}
        self._driver.write(held, sealed, rows.as_json(beside), tables)
        if self._within is not None:
            self._within(held, decisions, events)
        return segment

    def committed(self) -> None:
        """What was appended is stored for good."""
        if self._appended is not None:
            self._end, self._appended = self._appended, None

    def forget(self) -> None:
        """What was appended may not be stored, or others may have written."""
        self._end = self._appended = None

    def _sealed(self, segment: int, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*values, segment, self.sealer.decision(segment, values))

    def _record(self, segment: int, event: Event) -> dict[str, Any]:
        values = rows.event_values(event)
        names = Event.__struct_fields__
        mac = self.sealer.event(segment, values)
        return {**dict(zip(names, values, strict=True)), "segment": segment, "mac": mac}
