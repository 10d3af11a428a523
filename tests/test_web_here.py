"""For adapters whose framework keeps the current request itself: which guard answers here, and what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import Guard, approved, get_guard, guarded, supervised_async
from supervisor_guards._context import Facts, acting, current_approval
from supervisor_guards.web import LazyFacts, find_guard, find_request
from tests.engine import default_guard, rows, settings

HERE: ContextVar[Guard | None] = ContextVar("here", default=None)
REQUEST: ContextVar[Any] = ContextVar("request", default=None)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Guard, Guard]]:
    """The default guard, and that of an application which is not served yet."""
    find_guard(HERE.get)
    find_request(REQUEST.get)
    for name in ("default", "own"):
        (tmp_path / name).mkdir()
    own = Guard(settings(tmp_path / "own"))
    with default_guard(settings(tmp_path / "default")) as plain:
        yield plain, own
    own.close()


def pay() -> None:
    guarded("refund", {"amount": 1}, lambda: None)


def test_the_guard_of_the_application_that_is_served_answers(two: tuple[Guard, Guard]) -> None:
    plain, own = two
    pay()
    token = HERE.set(own)
    try:
        assert get_guard() is own
        pay()
    finally:
        HERE.reset(token)
    assert get_guard() is plain
    assert (len(rows(plain)), len(rows(own))) == (1, 1)


def test_async_guards_ask_it_too(two: tuple[Guard, Guard]) -> None:
    @supervised_async("refund")
    async def refund(amount: int) -> None:
        pass

    async def served() -> None:
        HERE.set(two[1])
        await refund(1)

    asyncio.run(served())
    assert len(rows(two[1])) == 1


def test_the_request_is_told_where_nobody_says_otherwise(two: tuple[Guard, Guard]) -> None:
    made: list[int] = []

    def make() -> Facts:
        made.append(1)
        return Facts(subject="found", route="POST /found", tenant="t")

    token = REQUEST.set((LazyFacts(make), ("action-0001",)))
    try:
        assert current_approval() == ("action-0001",)
        with approved():
            assert current_approval() is None
        with approved("action-0002"), acting(Facts(subject="said", route="POST /said")):
            assert current_approval() == ("action-0002",)
            pay()
        with approved():
            pay()
    finally:
        REQUEST.reset(token)
    pay()
    assert [(row.subject, row.route) for row in rows(two[0])] == [
        ("said", "POST /said"),
        ("found", "POST /found"),
        (None, None),
    ]
    assert made == [1]
