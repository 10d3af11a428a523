"""Plain guards in an answer that is sent in parts: the middleware has returned, and they still know the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import supervised, supervised_async
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.errors import ApprovalInvalid, SupervisorReviewPending
from supervisor_guards.web import User
from tests.engine import rows
from tests.integrations.django_client import guarded

from django.http import FileResponse, HttpRequest, StreamingHttpResponse  # isort: skip
from django.test import AsyncClient, Client, RequestFactory  # isort: skip
from django.urls import path  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip

from supervisor_guards_django.middleware import SupervisorMiddleware

HERE = __name__
POLICY = """
name: all
version: 1
action: refund
rules:
  - {id: look, when: payload.amount > 100, action: review, reason: a-look}
"""
CLOSED: list[str] = []


@supervised("refund")
def refund(amount: int) -> str:
    return "refunded"


@supervised_async("refund")
async def arefund(amount: int) -> str:
    return "refunded"


def told(error: Any) -> str:
    """How a plain guard refused: the action that a person must look at first, or what is wrong."""
    return str(error.action_id if isinstance(error, SupervisorReviewPending) else error.reasons[0])


def parts(amount: int) -> Iterator[str]:
    try:
        yield "begun "
        try:
            yield refund(amount)
        except (ApprovalInvalid, SupervisorReviewPending) as error:
            yield told(error)
    finally:
        CLOSED.append("sync")


async def aparts(amount: int) -> AsyncIterator[str]:
    try:
        yield "begun "
        try:
            yield await arefund(amount)
        except (ApprovalInvalid, SupervisorReviewPending) as error:
            yield told(error)
    finally:
        CLOSED.append("async")


@csrf_exempt
def sync(request: HttpRequest, amount: int) -> StreamingHttpResponse:
    return StreamingHttpResponse((aparts if "a" in request.GET else parts)(amount))


@csrf_exempt
async def loop(request: HttpRequest, amount: int) -> StreamingHttpResponse:
    return StreamingHttpResponse((aparts if "a" in request.GET else parts)(amount))


urlpatterns = [path("sync/<int:amount>", sync), path("loop/<int:amount>", loop)]


def by_header(request: Any) -> User:
    return User(id=request.headers["x-user"])


def body(handler: str, target: str, **headers: str) -> str:
    """What a server sends: it takes the parts once the middleware has returned."""
    if handler == "wsgi":
        answer = Client(headers=headers).post(target)
        return b"".join(iter(answer)).decode()

    async def taken() -> bytes:
        answer: Any = await AsyncClient().post(target, headers=headers)
        return b"".join([part async for part in aiter(answer)])

    return asyncio.run(taken()).decode()


# Django says itself that it can't stream such a generator, and takes it whole.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
WAYS = [
    (handler, view, kind)
    for handler in ("wsgi", "asgi")
    for view in ("sync", "loop")
    for kind in ("generator", "async")
]


def target(view: str, kind: str, amount: int = 500) -> str:
    return f"/{view}/{amount}" + ("?a" if kind == "async" else "")


@pytest.mark.parametrize(("handler", "view", "kind"), WAYS)
def test_a_guard_in_a_stream_knows_its_request_and_waits_for_nobody(
    handler: str, view: str, kind: str, tmp_path: Path
) -> None:
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=HERE, RULES=[], USER_RESOLVER=by_header) as guard:
        action_id = body(handler, target(view, kind), **{"x-user": "u-1"}).removeprefix("begun ")
        (row,) = rows(guard)
        assert (row.action_id, row.outcome, row.result) == (action_id, "review", "not-run")
        assert (row.route, row.subject) == (f"POST /{view}/<int:amount>", "u-1")


@pytest.mark.parametrize(("handler", "view", "kind"), WAYS)
def test_it_uses_the_approval_that_the_request_brings(handler: str, view: str, kind: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=HERE, RULES=[], USER_RESOLVER=by_header) as guard:
        action_id = body(handler, target(view, kind), **{"x-user": "u-1"}).removeprefix("begun ")
        ReviewDesk(guard.supervisor.store).resolve(action_id, "approved", None, Principal("dana"))
        brought = {"supervisor-approval": action_id}
        answers = [body(handler, target(view, kind), **{"x-user": user}, **brought) for user in ("u-2", "u-1")]
        assert answers == ["begun other-subject", "begun refunded"]


def test_between_two_parts_nothing_of_it_is_left(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=HERE, RULES=[], USER_RESOLVER=by_header) as guard:
        answers = [Client(headers={"x-user": f"u-{number}"}).post(f"/sync/{number}") for number in (1, 2)]
        taking = [iter(answer.streaming_content) for answer in answers]
        for _ in range(2):
            for taken in taking:
                next(taken)
        assert sorted((row.payload, row.subject) for row in rows(guard)) == [
            ('{"amount":1}', "u-1"),
            ('{"amount":2}', "u-2"),
        ]


@pytest.mark.parametrize("kind", ["generator", "async"])
def test_a_stream_that_is_closed_early_ends_as_it_would(kind: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=HERE, RULES=[]):
        CLOSED.clear()

        async def left() -> None:
            answer = await AsyncClient().post(target("loop", kind))
            async for _ in aiter(answer):
                break
            answer.close()

        if kind == "generator":
            answer = Client().post(target("sync", kind))
            next(iter(answer.streaming_content))
            answer.close()
            assert CLOSED == ["sync"]
        else:
            asyncio.run(left())
            assert CLOSED == ["async"]


def test_a_file_is_left_to_the_server(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=HERE, RULES=[]), Path(__file__).open("rb") as file:
        answer = SupervisorMiddleware(lambda request: FileResponse(file))(RequestFactory().get("/"))
        assert answer.file_to_stream is file
        assert answer.getvalue() == Path(__file__).read_bytes()
