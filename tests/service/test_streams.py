"""What is answered piece by piece: counted under its route, and not made at all for who asks for its headers alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from supervisor_guards.service.console import live
from tests.service.doors import Browser, person
from tests.service.serving import Running, body, until

STREAM = "/console/stream"
EXPORT = "/v1/decisions/export"


@pytest.fixture
def browser(running: Running) -> Iterator[Browser]:
    """Somebody who is signed in."""
    with Browser(running) as http:
        http.sign_in(person(running).name).raise_for_status()
        yield http


def counted(admin: httpx.Client, method: str, route: str, status: int = 200) -> float:
    """How many requests were answered so, as Prometheus is told."""
    start = f'supervisor_request_seconds_count{{method="{method}",route="{route}",status="{status}"}} '
    found = [line for line in admin.get("/metrics").text.splitlines() if line.startswith(start)]
    return float(found[0].removeprefix(start)) if found else 0.0


def test_a_stream_is_counted_under_its_route_when_it_ends(browser: Browser, admin: httpx.Client) -> None:
    before, unknown = counted(admin, "GET", STREAM), counted(admin, "GET", "(unknown)")
    with browser.stream("GET", f"{STREAM}?after=0") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_lines()).startswith("retry: ")
    until(lambda: counted(admin, "GET", STREAM) == before + 1)
    assert counted(admin, "GET", "(unknown)") == unknown


def test_the_headers_of_a_stream_are_no_stream(browser: Browser, admin: httpx.Client) -> None:
    with browser.stream("GET", STREAM) as following:
        given = dict(following.headers)
    until(lambda: not live._open)
    before = counted(admin, "HEAD", STREAM)
    answer = browser.head(STREAM)
    assert (answer.status_code, answer.content) == (200, b"")
    for name in ("content-type", "cache-control", "x-accel-buffering"):
        assert answer.headers[name] == given[name]
    assert not live._open  # nobody is followed
    until(lambda: counted(admin, "HEAD", STREAM) == before + 1)


def test_who_isnt_signed_in_follows_nothing(running: Running) -> None:
    with Browser(running) as http:
        assert http.head(STREAM).status_code == http.get(STREAM).status_code == 401


def test_one_person_can_not_follow_so_often_that_nobody_else_can(running: Running, browser: Browser) -> None:
    until(lambda: not live._open)
    with contextlib.ExitStack() as stack:
        following = [stack.enter_context(browser.stream("GET", STREAM)).iter_lines() for _ in range(live.OF_ONE)]
        assert all(next(lines).startswith("retry: ") for lines in following)
        refused = browser.get(STREAM)
        assert refused.status_code == 429
        assert "close some" in refused.text
        other = stack.enter_context(Browser(running))
        other.sign_in(person(running).name).raise_for_status()
        assert stack.enter_context(other.stream("GET", STREAM)).status_code == 200
    until(lambda: not live._open)


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/console/decisions", "/console/decisions", 200),
        ("/console/decisions/somebodys", "/console/decisions/{action_id}", 404),
        ("/console/reviews/somebodys", "/console/reviews/{action_id}", 404),
        ("/console/nowhere/at-all", "(unknown)", 404),
    ],
)
def test_pages_are_counted_under_their_routes(
    browser: Browser, admin: httpx.Client, path: str, route: str, status: int
) -> None:
    before = counted(admin, "GET", route, status)
    assert browser.get(path).status_code == status
    until(lambda: counted(admin, "GET", route, status) == before + 1)
    assert "somebodys" not in admin.get("/metrics").text


def test_the_headers_of_an_export_read_no_decisions(http: httpx.Client, admin: httpx.Client) -> None:
    http.post("/v1/actions/evaluate", json=body(1)).raise_for_status()
    whole = admin.get(EXPORT)
    read: list[str] = []

    def keep(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if "FROM sg_decisions" in statement:
            read.append(statement)

    before = counted(admin, "HEAD", EXPORT)
    event.listen(Engine, "before_cursor_execute", keep)
    try:
        answer = admin.head(EXPORT)
        until(lambda: counted(admin, "HEAD", EXPORT) == before + 1)
    finally:
        event.remove(Engine, "before_cursor_execute", keep)
    assert (answer.status_code, answer.content, read) == (200, b"", [])
    assert answer.headers["content-type"] == whole.headers["content-type"]
    assert counted(admin, "GET", EXPORT) >= 1
