"""What is read from the record: decisions, sums, and whether it is as it was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from supervisor_guards._desk import Choices, DecisionQuery, Page
from supervisor_guards.embedded import queries, search
from supervisor_guards.embedded.anchors import Anchor
from supervisor_guards.embedded.authenticity import authentic
from supervisor_guards.embedded.connections import Connections
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.figures import Span, spans
from supervisor_guards.embedded.rows import (
    Percentiles,
    RuleTotal,
    StoredDecision,
    Total,
    check_filters,
    check_groups,
)
from supervisor_guards.embedded.verification import Report, verify


class Reader:
    """The reading half of `Store`. Nothing here writes."""

    def __init__(self, connections: Connections, sealer: Sealer) -> None:
        self._connections = connections
        self._sealer = sealer

    def decision(self, action_id: str) -> StoredDecision | None:
        """The decision on an action; None where there is none."""
        with self._connections.reading() as held:
            return queries.decision(held, action_id)

    def decisions(
        self,
        limit: int = 100,
        before: int | None = None,
        after: int | None = None,
        *,
        rule: str | None = None,
        **filters: Any,
    ) -> list[StoredDecision]:
        """A page of decisions, newest first; the next page is `before` the last one's `id`.

        With `after`, those written since, oldest first: the way to follow the log without missing a row.
        Filters: `rule` (the id of one that hit) and `app_id`, `action_type`, `route`, `subject`, `mode`,
        `outcome`, `would_have`, `status`, `enforced`; None doesn't filter.
        """
        check_filters(filters)
        with self._connections.reading() as held:
            return queries.page(held, limit, before, after, rule, filters)

    def find_decisions(self, query: DecisionQuery, limit: int, cursor: int | None) -> Page[StoredDecision]:
        """A page of what `query` finds, newest first.

        Filters that no index serves look through 20,000 rows at most; the page then says that it isn't complete.
        """
        with self._connections.reading() as held:
            return search.find_decisions(held, query, limit, cursor)

    def choices(self) -> Choices:
        """What decisions can be filtered by, as far as the newest roll-ups know."""
        with self._connections.reading() as held:
            return search.choices(held)

    def span(self) -> tuple[int, int] | None:
        """When the first and the last stored decision were made; None where there is none."""
        with self._connections.reading() as held:
            return search.span(held)

    def recorded(self, windows: Sequence[tuple[int, int]]) -> list[bool]:
        """Of each window (from, before) of whole minutes whether decisions were recorded in it."""
        with self._connections.reading() as held:
            return search.recorded(held, windows)

    def totals(self, since: int, by: Sequence[str] = ("action_type", "mode")) -> list[Total]:
        """Counts from the minute of `since` on, by any of minute, app_id, action_type, route and mode."""
        check_groups(by)
        with self._connections.reading() as held:
            return queries.totals(held, since, by)

    def spans(self, first: int, until: int, step: int) -> list[Span]:
        """The roll-ups by spans of `step` minutes, from the minute `first` to before `until`."""
        with self._connections.reading() as held:
            return spans(held, first, until, step)

    def rule_totals(self, since: int, action_type: str | None = None) -> list[RuleTotal]:
        """Hits by rule from the minute of `since` on, most first."""
        with self._connections.reading() as held:
            return queries.rule_totals(held, since, action_type)

    def latency(self, since: int, action_type: str | None = None, mode: str | None = None) -> Percentiles:
        """Percentiles of the time to decide, from the minute of `since` on."""
        with self._connections.reading() as held:
            return queries.latency(held, since, action_type, mode)

    def dropped(self, since: int) -> int:
        """How many decisions were dropped since."""
        with self._connections.reading() as held:
            return queries.dropped(held, since)

    def anchor(self) -> Anchor | None:
        """The end of the evidence chain; None before the first segment."""
        with self._connections.reading() as held:
            return queries.anchor(held)

    def authentic(self, action_id: str) -> bool:
        """Whether the record of this action is as it was written, with our key."""
        with self._connections.reading() as held, self._connections.driver.snapshot(held):
            return authentic(held, self._sealer, action_id)

    def verify(self, sealers: Sequence[Sealer], anchors: Sequence[Anchor] = ()) -> Report:
        """Check the whole record against the evidence, as it stands now. `sealers`: one for each key used."""
        with self._connections.reading() as held, self._connections.driver.snapshot(held):
            return verify(held, sealers, anchors)
