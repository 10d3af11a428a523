"""Bodies: read once before the endpoint in enforce, watched in shadow, and given on unchanged in both."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from supervisor_guards import Guard, observe
from supervisor_guards_asgi import SupervisorMiddleware, get_decision
from supervisor_guards_asgi.bodies import Prefix, Watch
from tests.engine import rows
from tests.integrations.asgi_apps import request
from tests.integrations.asgi_client import ANY, NO, Exchange, call, chunks, guarding, http_scope, run

AMOUNT = {"route": "POST /refunds", "action": "refund", "payload": ["body.amount"]}
JSON = [("content-type", "application/json")]


def served(guard: Guard, endpoint: Any, *rules: Any, **options: Any) -> Any:
    app = Starlette(routes=[Route("/refunds", endpoint, methods=["POST", "GET"]), Route("/free", endpoint)])
    app.add_middleware(SupervisorMiddleware, guard=guard, rules=rules or [AMOUNT], **options)
    return app


async def sha(request: Request) -> Response:
    digest = hashlib.sha256()
    async for chunk in request.stream():
        digest.update(chunk)
    return JSONResponse(digest.hexdigest())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_messages_come_once_in_order_and_then_from_the_server(backend: str, tmp_path: Path) -> None:
    seen: list[Any] = []

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(5):
            seen.append(await receive())
        await Response("ok")(scope, receive, send)

    class Endpoint:
        def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
            return endpoint(scope, receive, send)

    sent = chunks(b'{"amount"', b": ", b"1", b"}")
    with guarding(tmp_path) as guard:
        app = served(guard, Endpoint())
        exchange = Exchange(list(sent))
        run(app, http_scope("POST", "/refunds", headers=JSON), exchange.receive, exchange.send, backend=backend)
        assert seen == [*sent, {"type": "http.disconnect"}]
        assert all(got is gave for got, gave in zip(seen, sent, strict=False))


def test_an_endpoint_with_a_request_of_its_own_reads_everything(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        return Response(await Request(request.scope, request.receive).body())

    for mode in ("shadow", "enforce"):
        (tmp_path / mode).mkdir()
        with guarding(tmp_path / mode, mode=mode) as guard:
            answer = request(served(guard, endpoint), "POST", "/refunds", json={"amount": 1, "x": "y" * 9000})
            assert len(answer.content) > 9000


def test_a_guarded_stream_flows_and_hears_of_the_hang_up(tmp_path: Path) -> None:
    heard: list[bool] = []
    hung_up = anyio.Event()

    async def endpoint(request: Request) -> Response:
        async def stream() -> Any:
            heard.append(await request.is_disconnected())
            yield b"one"
            hung_up.set()
            while not await request.is_disconnected():
                await anyio.sleep(0)
            heard.append(True)

        return StreamingResponse(stream())

    class Hanging(Exchange):
        async def receive(self) -> dict[str, Any]:
            if not self.pending and not hung_up.is_set():
                await hung_up.wait()
            return await super().receive()

    async def main() -> Exchange:
        exchange = Hanging(chunks(b'{"amount": 1}'))
        await app(http_scope("POST", "/refunds", headers=JSON), exchange.receive, exchange.send)
        return exchange

    with guarding(tmp_path) as guard:
        app = served(guard, endpoint)
        exchange = run(main)
    assert heard == [False, True]
    assert exchange.body == b"one"


@pytest.mark.parametrize("policy", [ANY, NO])
def test_a_body_that_no_rule_reads_is_left_alone(policy: str, tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        return Response("ok")

    by_route = {"route": "POST /refunds", "action": "refund", "payload": ["query.x"]}
    for mode in ("shadow", "enforce"):
        (tmp_path / mode).mkdir()
        with guarding(tmp_path / mode, policy, mode) as guard:
            for path in ("/refunds", "/free"):
                exchange = Exchange(chunks(b"x" * 100))
                run(served(guard, endpoint, by_route), http_scope("POST", path), exchange.receive, exchange.send)
                assert exchange.received == 0


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_reaches_the_endpoint_whole_and_is_not_kept(mode: str, declared: bool, tmp_path: Path) -> None:
    part, count, cap = b"x" * 65_536, 320, 262_144
    headers = [("content-length", str(len(part) * count))] if declared else []
    loose = {**AMOUNT, "payload": ["query.x"], "body": "parsed", "max_body_bytes": cap}

    class Uploading(Exchange):
        left = count

        async def receive(self) -> dict[str, Any]:
            self.left -= 1
            return {"type": "http.request", "body": part, "more_body": self.left > 0}

    with guarding(tmp_path, mode=mode) as guard:
        app = served(guard, sha, loose)
        exchange = Uploading([])
        tracemalloc.start()
        run(app, http_scope("POST", "/refunds", headers=headers), exchange.receive, exchange.send)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert exchange.body.decode().strip('"') == hashlib.sha256(part * count).hexdigest()
        assert peak < 8 * cap
        assert [row.status for row in rows(guard)] == ["evaluated"]


def test_a_body_is_found_by_reading_and_not_by_its_declaration(tmp_path: Path) -> None:
    with guarding(tmp_path, ANY.replace("== -1", "== 7")) as guard:
        exchange = call(served(guard, sha), http_scope("POST", "/refunds", http_version="2"), b'{"amount"', b": 7}")
        assert exchange.status == 403


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_client_that_leaves_while_it_sends_is_not_decided_on(mode: str, tmp_path: Path) -> None:
    ran: list[bool] = []

    async def endpoint(request: Request) -> Response:
        await request.body()
        ran.append(True)
        return Response("ok")

    with guarding(tmp_path, mode=mode) as guard:
        exchange = Exchange([{"type": "http.request", "body": b'{"amo', "more_body": True}])
        app = SupervisorMiddleware(
            Starlette(routes=[Route("/refunds", endpoint, methods=["POST"])]), guard=guard, rules=[AMOUNT]
        )
        try:
            run(app, http_scope("POST", "/refunds"), exchange.receive, exchange.send)
        except Exception as error:
            assert type(error).__name__ == "ClientDisconnect"  # noqa: PT017 - shadow: the application's own
            assert mode == "shadow"
        assert ran == []
        if mode == "enforce":
            assert exchange.sent == []
            assert rows(guard) == []


def test_compressed_bodies_are_judged_only_where_they_are_unpacked_outside(tmp_path: Path) -> None:
    class Unpack:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            message = await receive()
            plain = {"type": "http.request", "body": gzip.decompress(message["body"]), "more_body": False}
            headers = [pair for pair in scope["headers"] if pair[0] != b"content-encoding"]
            exchange = Exchange([plain])
            await self.app({**scope, "headers": headers}, exchange.receive, send)

    packed = gzip.compress(b'{"amount": 7}')
    headers = [*JSON, ("content-encoding", "gzip")]
    with guarding(tmp_path, ANY.replace("== -1", "== 7")) as guard:
        inner = Starlette(routes=[Route("/refunds", sha, methods=["POST"])])
        outside = Unpack(SupervisorMiddleware(inner, guard=guard, rules=[AMOUNT]))
        inside = SupervisorMiddleware(Unpack(inner), guard=guard, rules=[AMOUNT])
        assert call(outside, http_scope("POST", "/refunds", headers=headers), packed).status == 403
        assert call(inside, http_scope("POST", "/refunds", headers=headers), packed).status == 415


def test_what_the_application_says_of_a_bad_body_stays_its_own(tmp_path: Path) -> None:
    class Item(BaseModel):
        amount: int

    def make() -> FastAPI:
        app = FastAPI()

        @app.post("/refunds")
        def refund(item: Item) -> Item:
            return item

        return app

    by_query = {"route": "POST /refunds", "action": "refund", "payload": ["query.x"]}
    for mode, rule in (("shadow", AMOUNT), ("enforce", by_query)):
        (tmp_path / mode).mkdir()
        with guarding(tmp_path / mode, mode=mode) as guard:
            guarded = make()
            guarded.add_middleware(SupervisorMiddleware, guard=guard, rules=[rule])
            for content in (b'{"amount": ', b'{"amount": "x"}', b"", b"\xff"):
                options = {"content": content, "headers": dict(JSON)}
                plain, ours = (request(app, "POST", "/refunds", **options) for app in (make(), guarded))
                assert (ours.status_code, ours.content, ours.headers) == (
                    plain.status_code,
                    plain.content,
                    plain.headers,
                )


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_payload_callable_gets_a_request_of_its_own(mode: str, tmp_path: Path) -> None:
    async def build(request: Request) -> dict[str, Any]:
        assert get_decision(request) is None
        return {"amount": (await request.json())["amount"], "id": request.query_params["id"]}

    async def endpoint(request: Request) -> Response:
        return JSONResponse(await request.json())

    policy = ANY.replace("payload.get('amount') == -1", "payload.amount == 7 and payload.id == 'x'")
    rule = {"route": "POST /refunds", "action": "refund", "payload": build}
    with guarding(tmp_path, policy, mode) as guard:
        app = served(guard, endpoint, rule)
        answer = request(app, "POST", "/refunds?id=x", json={"amount": 7})
        assert answer.status_code == (403 if mode == "enforce" else 200)
        assert request(app, "POST", "/refunds?id=x", json={"amount": 1}).json() == {"amount": 1}
        assert sorted((row.would_have or row.outcome) for row in rows(guard)) == ["allow", "deny"]


def test_a_payload_callable_that_fails_refuses_in_enforce_and_is_recorded_in_shadow(tmp_path: Path) -> None:
    def build(request: Request) -> Any:
        raise RuntimeError("the user's own bug")

    for mode, status in (("shadow", 200), ("enforce", 400)):
        (tmp_path / mode).mkdir()
        with guarding(tmp_path / mode, mode=mode) as guard:
            app = served(guard, sha, {"route": "POST /refunds", "action": "refund", "payload": build})
            assert request(app, "POST", "/refunds", json={}).status_code == status
            (row,) = rows(guard)
            assert ((row.would_have or row.outcome), row.reasons) == ("deny", ("payload-raised",))


def test_an_answer_in_shadow_is_the_same_to_the_byte(tmp_path: Path) -> None:
    tasks: list[str] = []

    async def endpoint(request: Request) -> Response:
        observe(user_id="u-1")
        if request.query_params.get("raise"):
            raise ValueError("the application's own")

        async def stream() -> Any:
            async for chunk in request.stream():
                yield chunk

        return StreamingResponse(stream(), 202, {"x-own": "1"}, background=BackgroundTask(tasks.append, "ran"))

    def raising(*args: Any) -> Any:
        raise RuntimeError("resolver")

    plain = Starlette(routes=[Route("/refunds", endpoint, methods=["POST"])])
    with guarding(tmp_path, NO, "shadow") as guard:
        for options in ({}, {"user": raising}):
            ours = served(guard, endpoint, **options)
            for path in ("/refunds", "/refunds?raise=1", "/none"):
                sent = [Exchange(chunks(b'{"amo', b'unt": 1}')) for _ in range(2)]
                for app, exchange in zip((plain, ours), sent, strict=True):
                    try:
                        run(app, http_scope("POST", path, headers=JSON), exchange.receive, exchange.send)
                    except ValueError:
                        assert "raise" in path
                assert sent[0].sent == sent[1].sent
        assert {row.result for row in rows(guard)} == {"returned", "raised"}
    assert tasks == ["ran"] * 4


def test_a_body_that_nobody_read_is_unknown_in_shadow_unless_no_rule_needs_it(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        return Response("unread")

    headers = [*JSON, ("content-length", "13")]
    with guarding(tmp_path, ANY, "shadow") as guard:
        needed = served(guard, endpoint)
        needless = served(guard, endpoint, {**AMOUNT, "payload": ["query.amount"]})
        for app, target in ((needed, "/refunds"), (needless, "/refunds?amount=1")):
            assert call(app, http_scope("POST", target, headers=headers), b'{"amount": 1}').status == 200
        assert [(row.status, row.would_have) for row in rows(guard)] == [("unknown", None), ("evaluated", "allow")]


def test_the_record_is_made_before_background_tasks_end(tmp_path: Path) -> None:
    results: list[Any] = []

    async def endpoint(request: Request) -> Response:
        state = request.scope["supervisor_guards"]
        return Response("ok", background=BackgroundTask(lambda: results.append(state.entries[0].result)))

    with guarding(tmp_path) as guard:
        assert request(served(guard, endpoint), "POST", "/refunds", json={"amount": 1}).status_code == 200
    assert results == ["returned"]


def test_a_watched_channel_never_receives_by_itself() -> None:
    async def main() -> None:
        exchange = Exchange(chunks(b"a", b"b", b"c"))
        watch = Watch(exchange.receive, 1)
        scope = http_scope("POST", "/")
        assert watch.seen({**scope, "headers": [(b"content-length", b"3")]}) == (None, False)
        await watch()
        await watch()
        assert exchange.received == 2
        assert watch.seen(scope) == (b"ab", False)
        await watch()
        assert watch.seen(scope) == (b"ab", True)  # what is beyond the cap is counted and not kept

    run(main)


def test_what_a_peeking_reader_takes_is_there_for_the_next() -> None:
    async def main() -> None:
        exchange = Exchange(chunks(b"a", b"b"))
        prefix = Prefix(exchange.receive)
        first, second = prefix.peek(10), prefix.peek(10)
        assert [(await first())["body"], (await first())["body"]] == [b"a", b"b"]
        assert (await first())["type"] == "http.disconnect"
        assert (await second())["body"] == b"a"
        assert [(await prefix())["body"], (await prefix())["body"]] == [b"a", b"b"]

    run(main)


def test_a_server_that_repeats_the_end_of_a_body_is_not_asked_for_ever(tmp_path: Path) -> None:
    """Some test clients answer every `receive` with the same whole body, and none of their calls waits."""
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def main() -> None:
        prefix = Prefix(receive)
        with anyio.move_on_after(0):
            await prefix.watch(1_000)

    run(main)
    assert asked == 2
