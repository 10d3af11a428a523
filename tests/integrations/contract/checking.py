"""How a case is checked: answer, execution, record, and that what was judged is what the handler saw."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from supervisor_guards.embedded.desk import Principal, ReviewDesk
from tests.integrations.contract.cases import Case
from tests.integrations.contract.routes import ACTIONS

UNREAD: Any = object()
"""What a handler notes where its framework can't read what it asks for."""


class Seen(NamedTuple):
    """What a handler got from its framework: parameters, one value for each name; JSON, or else a form's fields."""

    name: str
    path: Mapping[str, Any] = {}
    query: Mapping[str, Any] = {}
    body: Any = UNREAD
    form: Any = UNREAD


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Harness(Protocol):
    """An application under test, its guard, and a client."""

    @property
    def own(self) -> Mapping[str, str]:
        """Cases that this way of guarding answers otherwise, and why."""
        ...

    @property
    def ran(self) -> Sequence[str]:
        """The handlers that ran since the last request was sent."""
        ...

    def send(self, case: Case) -> Answer:
        """The answer to the case's request."""
        ...

    def rows(self) -> list[Any]:
        """What was recorded since this was asked last, oldest first."""
        ...

    def label(self, route: str) -> str:
        """How the framework writes the route `METHOD /template`."""
        ...


class InProcess(Protocol):
    """A harness whose handlers note what they saw."""

    guard: Any
    saw: list[Seen]
    judged: list[Any]
    own: Mapping[str, str]

    def send(self, case: Case) -> Answer: ...
    def rows(self) -> list[Any]: ...
    def label(self, route: str) -> str: ...
    @property
    def ran(self) -> list[str]: ...


def reason_of_own(harness: Harness, case: Case) -> str | None:
    """Why this framework may answer the case in its own way; None where it may not."""
    return case.own or harness.own.get(case.name)


def check(harness: Harness, case: Case, mode: str) -> None:
    """Send the request of `case`, and compare answer, execution and record."""
    answer = harness.send(case)
    recorded = harness.rows()
    refused = mode == "enforce" and case.problem is not None
    expected = case.status if mode == "enforce" or case.problem is None else 200
    assert answer.status == expected, (answer, case)
    assert harness.ran == ([] if refused or case.ran is None else [case.ran])
    if refused:
        _check_problem(answer, case)
    elif case.problem is not None:
        assert not any(name.startswith("supervisor") for name in answer.headers)
    if case.verdict is None:
        assert recorded == []
        return
    (row,) = recorded
    assert row.action_type == case.action
    assert row.route == harness.label(case.route)
    assert (row.would_have or row.outcome) == case.verdict
    assert row.reasons == case.reasons
    assert row.result == ("not-run" if refused else "returned")
    assert row.subject == case.subject
    assert (row.would_have is None) == (mode == "enforce")


def check_seen(harness: InProcess, case: Case, mode: str) -> None:
    """`check`, where frameworks agree, else `check_rule`; and what was judged is compared with what was seen."""
    if reason_of_own(harness, case) is None:
        check(harness, case, mode)
        for one, row in zip(harness.saw, harness.judged, strict=False):
            agree(row, one)
        return
    check_rule(harness, harness.send(case), mode)


def check_rule(harness: InProcess, answer: Answer, mode: str) -> None:
    """A guarded handler that ran was decided on once, with what it saw, and nothing broke."""
    recorded = harness.rows()
    assert answer.status < 500, answer
    guarded = [one for one in harness.saw if one.name in ACTIONS]
    if not guarded:
        assert len(recorded) <= 1
        return
    (one,), (row,) = guarded, recorded
    assert row.action_type == ACTIONS[one.name]["action"]
    assert mode == "shadow" or row.outcome == "allow"
    agree(row, one)


def agree(row: Any, one: Seen) -> None:
    """What `row` judged is what the handler saw. Where nobody could read it, nothing was allowed."""
    payload = json.loads(row.payload)
    seen = dict(expected(one))
    allowed = row.status == "evaluated" and (row.would_have or row.outcome) == "allow"
    for name, value in seen.items():
        unread = value is UNREAD or _marked(payload.get(name))
        if payload.get("body_status") == "absent" and not value:
            continue  # some frameworks give an empty form where nothing was sent
        assert not (unread and allowed), (name, payload, one)
        assert unread or payload.get(name, UNREAD) == value, (name, payload, one)
    assert not allowed or payload.keys() - _NOT_READ == seen.keys(), (payload, one)


_NOT_READ = {"repeated", "body_status", "files", "state", "id"}
"""What a payload has beside what a handler asks its framework for."""


def expected(one: Seen) -> Iterator[tuple[str, Any]]:
    """The names and values of the rule's payload, read from what the handler saw."""
    rule = ACTIONS[one.name]
    if "payload" not in rule:
        yield from (("path", dict(one.path)), ("query", dict(one.query)), ("body", one.body))
        return
    for reference in rule["payload"]:
        where, _, kind = reference.partition(":")
        source, _, name = where.partition(".")
        if source == "user":
            continue
        fields = getattr(one, source)
        if not isinstance(fields, Mapping):
            yield name, UNREAD
        elif name in fields:
            yield name, _cast(fields[name], kind)


def _cast(value: Any, kind: str) -> Any:
    try:
        return float(value) if kind and "_" not in str(value) else value
    except (TypeError, ValueError):
        return UNREAD


def _marked(value: Any) -> bool:
    """Whether a marker stands anywhere in `value`."""
    if isinstance(value, dict):
        return any(name.startswith("__") for name in value) or any(map(_marked, value.values()))
    return isinstance(value, list) and any(map(_marked, value))


def reviews(guard: Any) -> ReviewDesk:
    """The desk at which the guard's reviews are decided."""
    assert guard.flush()
    return ReviewDesk(guard.supervisor.store)


REVIEWER = Principal("rita")


def _check_problem(answer: Answer, case: Case) -> None:
    assert answer.headers["cache-control"] == "no-store"
    if answer.headers["content-type"].startswith("text/html"):
        assert "text/html" in dict(case.headers).get("accept", "")
        assert case.reasons[0].encode() not in answer.body
        return
    assert answer.headers["content-type"] == "application/problem+json"
    if case.method == "HEAD":
        assert answer.body == b""
        return
    problem = json.loads(answer.body)
    assert problem["type"].endswith("/" + str(case.problem))
    assert problem["status"] == case.status
    assert problem["action"] == case.action
    assert ("retry-after" in answer.headers) == (case.problem == "approval-required")
    for reason in case.reasons:  # a policy's words are for operators
        assert reason not in problem.values()
