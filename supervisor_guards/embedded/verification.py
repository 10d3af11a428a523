"""Checks a whole record against its evidence chain, and against anchors kept elsewhere. Reads, never writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Table, select

from supervisor_guards.embedded.anchors import Anchor
from supervisor_guards.embedded.cases import case_findings
from supervisor_guards.embedded.evidence import Link, Sealer, same
from supervisor_guards.embedded.rows import COLUMNS, Event
from supervisor_guards.embedded.schema import decisions, events, segments, tombstones

__all__ = ["Finding", "Report", "verify"]

_PAGE = 2_000
_BACKDATED_US = 600_000_000
"""A row may wait this long before it is written."""

Kind = Literal[
    "edited", "deleted", "added", "back-dated", "chain-broken", "missing-segments", "missing-end",
    "anchor-mismatch", "tombstone", "review", "unknown-key", "unsigned",
]  # fmt: skip


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was written. `segment` is None where it concerns no one segment."""

    kind: Kind
    segment: int | None
    detail: str


class Report(msgspec.Struct, frozen=True):
    """What was checked, and what was found. `end` is the last segment, for an anchor."""

    decisions: int
    events: int
    segments: int
    purged: int
    """Decisions that retention deleted, by the tombstones."""
    anchors: int
    end: Link
    findings: tuple[Finding, ...]


def verify(connection: Connection, sealers: Sequence[Sealer], anchors: Sequence[Anchor]) -> Report:
    """The report on what `connection` sees; `sealers` are the keys that may have signed it."""
    return _Verification(connection, {sealer.key_id: sealer for sealer in sealers}, anchors).report()


class _Verification:
    def __init__(self, connection: Connection, keys: Mapping[str, Sealer], anchors: Sequence[Anchor]) -> None:
        self._connection = connection
        self._keys = keys
        self._anchors = {anchor.segment: anchor for anchor in anchors}
        self._given = anchors
        self._findings: list[Finding] = []
        self._counts = {"decisions": 0, "events": 0, "segments": 0}
        self._unknown_keys: set[str] = set()

    def report(self) -> Report:
        start, purged = self._tombstones()
        end = self._chain(start)
        self._check_anchors(start.segment, end)
        for action_id, detail in case_findings(self._connection):
            self._find("review", None, f"review {action_id}: {detail}")
        return Report(
            **self._counts, purged=purged, anchors=len(self._given), end=end, findings=tuple(self._findings)
        )  # fmt: skip

    def _find(self, kind: Kind, segment: int | None, detail: str) -> None:
        self._findings.append(Finding(kind, segment, detail))

    def _tombstones(self) -> tuple[Link, int]:
        """Where the chain begins now, and how many decisions went before."""
        start, purged = Link(), 0
        for row in self._connection.execute(select(tombstones).order_by(tombstones.c.segment)):
            *content, mac = row
            key = self._keys.get(row.key_id)
            if key is None:
                self._no_key(row.key_id, row.segment)
            elif not same(key.tombstone(content), mac):
                self._find("tombstone", row.segment, f"the tombstone up to segment {row.segment} is not ours")
            start = Link(row.segment, row.head)
            purged += row.decisions
        return start, purged

    def _chain(self, before: Link) -> Link:
        """Follow the segments in their order, each with its rows."""
        decided = _Rows(self._connection, decisions, COLUMNS)
        happened = _Rows(self._connection, events, Event.__struct_fields__)
        time = 0
        for row in _pages(self._connection, segments, "segment"):
            if row.segment <= before.segment:
                self._find("added", row.segment, f"segment {row.segment} is older than what retention deleted")
                continue
            if row.segment > before.segment + 1:
                gap = f"{before.segment + 1} to {row.segment - 1}"
                self._find("missing-segments", row.segment, f"segments {gap} are missing")
            sealer = self._sealer(row)
            found = [
                self._hashes(row, decided, decisions, "decision", sealer.decision if sealer else None),
                self._hashes(row, happened, events, "event", sealer.event if sealer else None),
            ]
            expected = Link(row.segment, row.head)
            if sealer and row.segment == before.segment + 1:
                expected = sealer.link(before, row.time, *found)
            if not same(expected.head, row.head):
                self._find(
                    "chain-broken", row.segment, f"segment {row.segment} was altered, swapped or made without the key"
                )
            if row.time < time - _BACKDATED_US:
                self._find("back-dated", row.segment, f"segment {row.segment} is dated before the one it follows")
            time = max(time, row.time)
            before = Link(row.segment, row.head)
            self._counts["segments"] += 1
        for rows, name in ((decided, "decision"), (happened, "event")):
            for row in rows.rest():
                self._find(
                    "added", row[-2], f"{name} of action {row[1]} belongs to segment {row[-2]}, which is not there"
                )
        return before

    def _hashes(
        self, segment: Any, rows: _Rows, table: Table, name: str, seal: Callable[[int, Sequence[Any]], str] | None
    ) -> list[str]:
        """The stored hashes of the segment's rows, each checked against its row."""
        hashes = []
        for row in rows.of(segment.segment):
            _, *values, number, mac = row
            if number != segment.segment:
                self._find(
                    "added", number, f"{name} of action {row[1]} belongs to segment {number}, which is not there"
                )
                continue
            if seal is not None and not same(seal(number, values), mac):
                self._find("edited", number, f"{name} of action {row[1]} is not as it was written")
            if table is decisions and row[2] < segment.time - _BACKDATED_US:
                self._find("back-dated", number, f"{name} of action {row[1]} is dated long before it was written")
            hashes.append(mac)
        expected = getattr(segment, f"{name}s")
        if len(hashes) != expected:
            kind: Kind = "deleted" if len(hashes) < expected else "added"
            self._find(
                kind, segment.segment, f"segment {segment.segment} has {len(hashes)} {name}s, written were {expected}"
            )
        self._counts[f"{name}s"] += len(hashes)
        return hashes

    def _sealer(self, segment: Any) -> Sealer | None:
        if segment.key_id == "":
            self._no_key("", segment.segment)
            return Sealer.unsigned()
        if segment.key_id not in self._keys:
            self._no_key(segment.key_id, segment.segment)
        return self._keys.get(segment.key_id)

    def _no_key(self, key_id: str, segment: int) -> None:
        if key_id in self._unknown_keys:
            return
        self._unknown_keys.add(key_id)
        if key_id:
            detail = f"key {key_id}, used from segment {segment} on, is not here: set SUPERVISOR_MASTER_KEY to it"
            self._find("unknown-key", segment, detail)
        else:
            self._find("unsigned", segment, f"from segment {segment} on rows were written without a key: no proof")

    def _check_anchors(self, purged: int, end: Link) -> None:
        last = max(self._anchors, default=0)
        if last > end.segment:
            detail = f"an anchor names segment {last}, the record ends at {end.segment}: its end is missing"
            self._find("missing-end", last, detail)
        numbers = [number for number in self._anchors if purged < number <= end.segment]
        heads = {purged: None, end.segment: end.head}
        for start in range(0, len(numbers), 500):
            chunk = segments.c.segment.in_(numbers[start : start + 500])
            found = self._connection.execute(select(segments.c.segment, segments.c.head).where(chunk))
            heads.update({row.segment: row.head for row in found})
        for anchor in self._given:
            if anchor.segment in numbers and heads.get(anchor.segment) != anchor.head:
                detail = f"segment {anchor.segment} is not the one that was anchored: the record was written anew"
                self._find("anchor-mismatch", anchor.segment, detail)


class _Rows:
    """The rows of a table in their order, given out segment by segment. Each is (id, values..., segment, mac)."""

    def __init__(self, connection: Connection, table: Table, names: Sequence[str]) -> None:
        self._rows = _pages(connection, table, "id", ("id", *names, "segment", "mac"))
        self._next = next(self._rows, None)

    def of(self, segment: int) -> Iterator[Sequence[Any]]:
        """Those of one segment, and before them those that stand where they don't belong."""
        while self._next is not None and self._next[-2] <= segment:
            row, self._next = self._next, next(self._rows, None)
            yield row

    def rest(self) -> Iterator[Sequence[Any]]:
        """What no segment claimed."""
        while self._next is not None:
            row, self._next = self._next, next(self._rows, None)
            yield row


def _pages(connection: Connection, table: Table, key: str, names: Sequence[str] = ()) -> Iterator[Any]:
    """All rows in the order of `key`, a page at a time."""
    columns = [table.c[name] for name in names] or list(table.c)
    last = 0
    while page := connection.execute(
        select(*columns).where(table.c[key] > last).order_by(table.c[key]).limit(_PAGE)
    ).all():
        yield from page
        last = getattr(page[-1], key)
