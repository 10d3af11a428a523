"""Waiting for a person: held requests, resubmitted ones, and clients that leave."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from supervisor_guards import Guard
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards_asgi import RouteGuard, SupervisorMiddleware, User, review_status
from tests.engine import rows
from tests.integrations.asgi_apps import request, requests
from tests.integrations.asgi_client import ANY, Exchange, chunks, guarding, http_scope, run

REVIEWED = ANY.replace("payload.get('amount') == -1", "payload.amount > 1").replace("action: deny", "action: review")
RULE = {"route": "POST /refunds/{id}", "action": "refund", "payload": ["path.id", "body.amount"]}
JSON = [("content-type", "application/json")]
REVIEWER = Principal("reviewer")
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


async def _refund(request: Request) -> Response:
    ran.append(await request.body())
    return Response("refunded")


def _who(connection: HTTPConnection) -> User | None:
    name = connection.headers.get("x-user")
    return User(name) if name else None


def served(guard: Guard, place: str = "rule", **options: Any) -> Any:
    options = {"guard": guard, "user": _who, "review_url": "/reviews", **options}
    routes: list[Any] = [Mount("/reviews", app=review_status(guard=guard, user=_who))]
    held = {"on_review": options.pop("on_review", None)}
    if place == "layer":
        layer = Middleware(RouteGuard, "refund", payload=RULE["payload"], **held, **options)
        return Starlette(routes=[*routes, Route("/refunds/{id}", _refund, methods=["POST"], middleware=[layer])])
    app = Starlette(routes=[*routes, Route("/refunds/{id}", _refund, methods=["POST"])])
    app.add_middleware(SupervisorMiddleware, rules=[{**RULE, **held}], **options)
    return app


def desk(guard: Guard) -> ReviewDesk:
    return ReviewDesk(guard.supervisor.store)  # type: ignore[attr-defined]


def _post(app: Any, path: str = "/refunds/7", amount: int = 50, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(app, "POST", path, json={"amount": amount}, headers=named)


def kind(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"].rpartition("/")[2])


def test_an_approved_request_is_sent_again_and_runs_once(tmp_path: Path) -> None:
    with guarding(tmp_path, REVIEWED) as guard:
        app = served(guard)
        first = _post(app, x_user="ann")
        assert kind(first) == (403, "approval-required")
        assert int(first.headers["retry-after"]) > 0
        case = first.json()["review_url"].removeprefix("/reviews/")
        again = {"x_user": "ann", "supervisor_approval": case}
        assert kind(_post(app, **again)) == (403, "approval-required")
        desk(guard).resolve(case, "approved", None, REVIEWER)
        assert kind(_post(app, amount=51, **again)) == (403, "approval-invalid")
        assert kind(_post(app, "/refunds/8", **again)) == (403, "approval-invalid")
        assert kind(_post(app, x_user="bob", supervisor_approval=case)) == (403, "approval-invalid")
        assert kind(_post(app, x_user="ann", supervisor_approval="no such id")) == (403, "approval-invalid")
        assert kind(_post(app, x_user="ann", supervisor_approval=f"{case},{case}")) == (403, "approval-invalid")
        assert ran == []
        assert _post(app, **again).text == "refunded"
        assert kind(_post(app, **again)) == (409, "approval-used")
        assert ran == [b'{"amount":50}']


def test_of_many_resubmissions_at_once_one_runs(tmp_path: Path) -> None:
    with guarding(tmp_path, REVIEWED) as guard:
        app = served(guard)
        case = _post(app).json()["review_url"].rpartition("/")[2]
        desk(guard).resolve(case, "approved", None, REVIEWER)
        statuses: list[int] = []

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(one)

        async def one() -> None:
            exchange = Exchange(chunks(b'{"amount": 50}'), hang_up=False)
            headers = [*JSON, ("supervisor-approval", case)]
            await app(http_scope("POST", "/refunds/7", headers=headers), exchange.receive, exchange.send)
            statuses.append(exchange.status)

        run(main)
        assert sorted(statuses) == [200] + [409] * 19
        assert len(ran) == 1


def test_a_review_is_shown_to_its_subject_alone(tmp_path: Path) -> None:
    with guarding(tmp_path, REVIEWED) as guard:
        app = served(guard)
        url = _post(app, amount=4242, x_user="ann").json()["review_url"]
        answers = requests(
            app,
            [("GET", url, {"headers": {"x-user": name}}) for name in ("ann", "bob", "")]
            + [("GET", "/reviews/nothing", {"headers": {"x-user": "ann"}})],
        )
        assert [one.status_code for one in answers] == [200, 404, 404, 404]
        assert answers[0].json() == {"action_id": url.rpartition("/")[2], "status": "pending"}
        assert "4242" not in answers[0].text
        assert answers[0].headers["cache-control"] == "no-store"


class Client(Exchange):
    """Sends a body, then stays until `leave` is set."""

    def __init__(self, leave: anyio.Event | None = None) -> None:
        super().__init__(chunks(b'{"amount": 50}'))
        self.leave = leave

    async def receive(self) -> dict[str, Any]:
        if not self.pending:
            await (self.leave or anyio.Event()).wait()
        return await super().receive()


async def _when_pending(guard: Guard, then: Callable[[str], Any], count: int = 1) -> None:
    """Call `then` with each review once `count` of them wait."""
    while len(pending := await anyio.to_thread.run_sync(desk(guard).reviews, "pending")) < count:
        await anyio.sleep(0.01)
    for one in pending:
        await anyio.to_thread.run_sync(then, one.action_id)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("place", ["rule", "layer"])
@pytest.mark.parametrize(("decision", "status"), [("approved", 200), ("rejected", 403)])
def test_a_held_request_goes_on_with_the_decision(
    decision: Any, status: int, place: str, backend: str, tmp_path: Path
) -> None:
    with guarding(tmp_path, REVIEWED) as guard:
        app, client = served(guard, place, on_review="block"), Client()

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_when_pending, guard, lambda case: desk(guard).resolve(case, decision, None, REVIEWER))
                await app(http_scope("POST", "/refunds/7", headers=JSON), client.receive, client.send)

        run(main, backend=backend)
        assert client.status == status
        assert ran == ([b'{"amount": 50}'] if status == 200 else [])
        if status == 403:
            assert json.loads(client.body)["type"].endswith("/denied")


@pytest.mark.parametrize("place", ["rule", "layer"])
def test_a_client_that_leaves_ends_the_wait_and_the_review(place: str, tmp_path: Path) -> None:
    with guarding(tmp_path, REVIEWED) as guard:
        app = served(guard, place, on_review="block", hold_seconds=60)

        async def main() -> Client:
            leave = anyio.Event()
            client = Client(leave)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(app, http_scope("POST", "/refunds/7", headers=JSON), client.receive, client.send)
                await _when_pending(guard, lambda case: None)
                leave.set()
            return client

        client = run(main)
        assert client.sent == []
        assert ran == []
        assert [one.status for one in desk(guard).reviews()] == ["abandoned"]


def test_the_wait_is_bounded_in_time_and_number_and_takes_no_thread(tmp_path: Path) -> None:
    with guarding(tmp_path, REVIEWED) as guard:
        app = served(guard, on_review="block", hold_seconds=60, max_holds=30)
        clients = [Client() for _ in range(31)]
        served_meanwhile: list[int] = []

        def sync_endpoint(request: Request) -> Response:
            return Response(str(threading.active_count()))

        app.router.routes.append(Route("/free", sync_endpoint))

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for index, client in enumerate(clients):
                    path = f"/refunds/{index}"
                    tasks.start_soon(app, http_scope("POST", path, headers=JSON), client.receive, client.send)
                while len(await anyio.to_thread.run_sync(desk(guard).reviews, "pending")) < 31:
                    await anyio.sleep(0.01)
                free = Exchange(chunks(b""))
                await app(http_scope("GET", "/free"), free.receive, free.send)
                served_meanwhile.append(free.status)
                await _when_pending(guard, lambda case: desk(guard).resolve(case, "approved", None, REVIEWER))

        run(main)
        assert served_meanwhile == [200]
        assert sorted(client.status for client in clients) == [200] * 30 + [403]
        short = served(guard, on_review="block", hold_seconds=0.05)
        assert kind(_post(short, "/refunds/late")) == (403, "approval-required")


def test_a_client_that_leaves_during_a_slow_verdict_runs_nothing(tmp_path: Path) -> None:
    with guarding(tmp_path, ANY) as guard:
        entered, release = anyio.Event(), anyio.Event()
        evaluate = guard.supervisor.aevaluate

        async def slow(action: Any, shadow: bool) -> Any:
            entered.set()
            await release.wait()
            return await evaluate(action, shadow)

        guard.supervisor.aevaluate = slow  # type: ignore[method-assign] # the embedded one answers at once
        guard.supervisor.in_process = False  # type: ignore[attr-defined]

        async def main() -> Client:
            leave = anyio.Event()
            client = Client(leave)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(app, http_scope("POST", "/refunds/7", headers=JSON), client.receive, client.send)
                await entered.wait()
                leave.set()
                while not client.received >= 2:
                    await anyio.sleep(0.01)
                await anyio.sleep(0)
                release.set()
            return client

        app = served(guard)
        client = run(main)
        assert client.sent == []
        assert ran == []
        assert [row.result for row in rows(guard)] == ["not-run"]


@pytest.mark.parametrize("fault", ["evaluate", "user", "guard"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_no_failure_of_ours_is_an_allow_or_reaches_a_shadowed_application(
    fault: str, mode: str, tmp_path: Path
) -> None:
    async def broken(*args: Any) -> Any:
        raise RuntimeError("x")

    with guarding(tmp_path, ANY, mode) as guard:
        options: dict[str, Any] = {"user": broken} if fault == "user" else {}
        app = served(guard, **options)
        if fault == "evaluate":
            guard.supervisor.aevaluate = broken  # type: ignore[method-assign]
        if fault == "guard":
            guard.aadmit = broken  # type: ignore[method-assign]
        answer = _post(app)
        if mode == "shadow":
            assert (answer.status_code, answer.text) == (200, "refunded")
        else:
            assert answer.status_code == (400 if fault == "user" else 503)
            assert ran == []
