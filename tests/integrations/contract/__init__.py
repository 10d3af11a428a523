"""The contract of every web adapter: one table of requests, and what becomes of each of them.

An adapter's test builds `ROUTES` in its framework, with `RULES` over them, and runs `CASES` and `STORIES` in shadow
and in enforce. Templates are written as `{name}` and `{name:int}`; an adapter that writes them otherwise translates
them.
"""

from __future__ import annotations

from tests.integrations.contract import basics, forms, json_bodies, places, values
from tests.integrations.contract.cases import Case
from tests.integrations.contract.checking import (
    UNREAD,
    Answer,
    Harness,
    InProcess,
    Seen,
    check,
    check_rule,
    check_seen,
    reason_of_own,
)
from tests.integrations.contract.routes import ACTIONS, CAP, POLICY, ROUTES, RULES, SENDER, RouteOf
from tests.integrations.contract.stories import STORIES, Story, play

SUBJECTS: dict[str, tuple[Case, ...]] = {
    "Outcomes": basics.CASES,
    "JSON": json_bodies.CASES,
    "Queries and senders": values.CASES,
    "Forms": forms.CASES,
    "Methods and paths": places.CASES,
}
"""The cases under the headings of the matrix."""

CASES: tuple[Case, ...] = tuple(case for cases in SUBJECTS.values() for case in cases)
assert len({case.name for case in CASES}) == len(CASES), "each row of the matrix has a name of its own"

__all__ = [
    "ACTIONS",
    "CAP",
    "CASES",
    "POLICY",
    "ROUTES",
    "RULES",
    "SENDER",
    "STORIES",
    "SUBJECTS",
    "UNREAD",
    "Answer",
    "Case",
    "Harness",
    "InProcess",
    "RouteOf",
    "Seen",
    "Story",
    "check",
    "check_rule",
    "check_seen",
    "play",
    "reason_of_own",
]
