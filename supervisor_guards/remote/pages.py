"""Pages of what a service lists: by its `Link` header, or cut from a whole list here. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from supervisor_guards import _sifting
from supervisor_guards._desk import DecisionQuery, Page, ReviewQuery
from supervisor_guards._records import Review, StoredDecision
from supervisor_guards.remote.faults import Fault

Row = TypeVar("Row", StoredDecision, Review)


def linked(rows: Sequence[Row], link: str | None, limit: int) -> Page[Row]:
    """A page whose next one `link`, the header (RFC 8288), names. Raises `Fault` where it names none."""
    if link is None:
        return Page(tuple(rows))
    address = link.partition(">")[0].lstrip("<")
    given = parse_qs(urlsplit(address).query).get("before", [""])[0]
    if not (given.isascii() and given.isdigit() and len(given) < 20):
        raise Fault("wrong", "answered with a list whose next page is nowhere")
    return Page(tuple(rows), int(given), complete=len(rows) >= limit)


def sifted(rows: Sequence[Row], query: DecisionQuery | ReviewQuery, limit: int, cursor: int | None) -> Page[Row]:
    """A page of the list of a plain service, in its order; `cursor` is how many were shown before."""
    found = [row for row in rows if _sifting.matches(row, query)][cursor or 0 :]
    return Page(tuple(found[:limit]), (cursor or 0) + limit if len(found) > limit else None)


def together(page: Callable[[int, int | None], Page[Row]], limit: int, cursor: int | None, most: int) -> Page[Row]:
    """A page of `limit` rows, from as many of the service's pages as it takes."""
    rows: tuple[Row, ...] = ()
    while True:
        found = page(min(limit - len(rows), most), cursor)
        rows, cursor = rows + found.rows, found.cursor
        if cursor is None or not found.complete or len(rows) >= limit:
            return Page(rows, cursor, found.complete)
