"""Which action a request is: the router's own answer, for every way to write a path and to nest a route."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router

from supervisor_guards import Guard
from supervisor_guards_asgi import RouteGuard, SupervisorMiddleware
from tests.engine import rows
from tests.integrations.asgi_client import ANY, NO, call, guarding, http_scope

PATHS = (
    "/refunds", "/refunds/", "//refunds", "/refunds%0A", "/refunds%0D", "/refunds%00", "/refunds%2F", "/refunds%3F",
    "/refunds%23", "/%72efunds", "/./refunds", "/x/../refunds", "/refunds;v=2", "/REFUNDS", "/refunds/7", "/refunds/7/",
    "/refunds/7%0A", "/refunds/%37", "/refunds/0007", "/refunds/1_0", "/refunds/+1", "/refunds/\u0661",
    "/refunds//7", "/refunds%2F7", "/refunds/7;v=2", "/refunds/7%00", "/refunds/7/../8", "http://testserver/refunds",
    "/api/refunds/7", "/api//refunds/7", "/api/refunds/7%0A", "/", "", "*",
)  # fmt: skip


class App:
    """An application whose endpoints note that they ran, under a middleware with rules."""

    def __init__(self, guard: Guard, rules: list[tuple[str, str]], **options: Any) -> None:
        self.guard = guard
        self.options = {"guard": guard, "rules": [{"route": route, "action": action} for route, action in rules]}
        self.options |= options
        self.ran: list[Any] = []

    def endpoint(self, name: str) -> Any:
        async def handle(request: Request) -> Response:
            self.ran.append(name)
            return JSONResponse(name)

        return handle

    def path_operation(self, name: str) -> Any:
        async def handle() -> str:
            self.ran.append(name)
            return name

        return handle

    def around(self, app: Any) -> Any:
        return SupervisorMiddleware(app, **self.options)

    def inside(self, app: Any) -> Any:
        app.add_middleware(SupervisorMiddleware, **self.options)
        return app

    def actions(self) -> list[str]:
        return [row.action_type for row in rows(self.guard)]


def _starlette(app: App) -> Any:
    routes = [
        Route("/refunds", app.endpoint("all"), methods=["POST"]),
        Route("/refunds/{id:int}", app.endpoint("one"), methods=["POST"]),
        Mount("/api", routes=[Route("/refunds/{id}", app.endpoint("api"), methods=["POST"])]),
        Route("/{rest:path}", app.endpoint("rest"), methods=["POST"]),
    ]
    return Starlette(routes=routes)


def _fastapi(app: App) -> Any:
    found, router = FastAPI(openapi_url=None), APIRouter(prefix="/api")
    found.add_api_route("/refunds", app.path_operation("all"), methods=["POST"])
    found.add_api_route("/refunds/{id:int}", app.path_operation("one"), methods=["POST"])
    router.add_api_route("/refunds/{id}", app.path_operation("api"), methods=["POST"])
    found.include_router(router)
    found.add_api_route("/{rest:path}", app.path_operation("rest"), methods=["POST"])
    return found


RULES = [("POST /refunds", "refund"), ("POST /refunds/{id:int}", "refund.large"), ("/api/refunds/{id}", "delete"),
         ("/{rest:path}", "other")]  # fmt: skip
ACTION_OF = {"all": "refund", "one": "refund.large", "api": "delete", "rest": "other"}


@pytest.mark.parametrize("place", ["around", "inside"])
@pytest.mark.parametrize("make", [_starlette, _fastapi])
@pytest.mark.parametrize("path", PATHS)
def test_whatever_runs_was_decided_on_under_its_own_action(path: str, make: Any, place: str, tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, RULES)
        wrapped = getattr(app, place)(make(app))
        call(wrapped, http_scope("POST", path))
        assert app.actions() == [ACTION_OF[name] for name in app.ran]


@pytest.mark.parametrize("path", PATHS)
def test_no_way_to_write_a_path_runs_what_is_denied(path: str, tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        for make in (_starlette, _fastapi):
            app = App(guard, RULES)
            call(app.inside(make(app)), http_scope("POST", path))
            assert app.ran == []


def test_routers_in_routers_are_known_by_their_full_template(tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [("POST /a/v1/r/{id}", "refund"), ("POST /b/v1/r/{id}", "delete")])
        inner, middle, outer = APIRouter(prefix="/r"), APIRouter(prefix="/v1"), FastAPI()
        inner.add_api_route("/{id}", app.path_operation("one"), methods=["POST"])
        middle.include_router(inner)
        outer.include_router(middle, prefix="/a")
        outer.include_router(middle, prefix="/b")
        served = app.inside(outer)
        call(served, http_scope("POST", "/a/v1/r/7"))
        call(served, http_scope("POST", "/b/v1/r/7"))
        assert [(row.action_type, row.route) for row in rows(guard)] == [
            ("refund", "POST /a/v1/r/{id}"),
            ("delete", "POST /b/v1/r/{id}"),
        ]


def test_twelve_levels_enforce_like_one(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = App(guard, [("/m" * 12 + "/x", "refund"), ("/p" * 12 + "/x", "refund")])
        mounted: Any = Router([Route("/x", app.endpoint("mounted"), methods=["POST"])])
        for _ in range(12):
            mounted = Router([Mount("/m", app=mounted)])
        router = APIRouter()
        router.add_api_route("/x", app.path_operation("included"), methods=["POST"])
        for _ in range(12):
            outer = APIRouter()
            outer.include_router(router, prefix="/p")
            router = outer
        tree = FastAPI()
        tree.include_router(router)
        assert call(app.around(mounted), http_scope("POST", "/m" * 12 + "/x")).status == 403
        assert call(app.around(tree), http_scope("POST", "/p" * 12 + "/x")).status == 403
        assert app.ran == []


def test_a_router_that_mounts_itself_ends(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = App(guard, [("POST /x", "refund")])
        router = Router([Route("/x", app.endpoint("x"), methods=["POST"])])
        router.routes += [Mount("/again", app=router), Mount("", app=router)]
        served = app.around(router)
        assert call(served, http_scope("POST", "/x")).status == 403
        assert call(served, http_scope("POST", "/elsewhere")).status == 400  # where it ends can't be told
        assert app.ran == []


class CountingMount(Mount):
    calls = 0

    def matches(self, scope: Any) -> Any:
        CountingMount.calls += 1
        return super().matches(scope)


def test_a_miss_below_overlapping_mounts_costs_one_look_a_level(tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [("/leaf", "refund")])
        inner: Any = Router([Route("/leaf", app.endpoint("leaf"))])
        for _ in range(24):
            inner = Router([CountingMount("/a", app=inner), CountingMount("/{any}", app=inner)])
        served = app.around(inner)
        CountingMount.calls = 0
        assert call(served, http_scope("GET", "/a" * 24 + "/none")).status == 404
        assert CountingMount.calls <= 24 * 2 * 2  # ours and the application's own


class Odd(BaseRoute):
    """A kind of route that nobody knows."""

    def __init__(self, ran: list[Any], path: str) -> None:
        self.ran, self.at = ran, path

    def matches(self, scope: Any) -> Any:
        return (Match.FULL, {}) if scope["path"] == self.at else (Match.NONE, {})

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        self.ran.append("odd")
        await PlainTextResponse("odd")(scope, receive, send)


@pytest.mark.parametrize(
    ("unresolved", "mode", "method", "status"),
    [("deny", "enforce", "POST", 400), ("deny", "enforce", "GET", 200), ("warn", "enforce", "POST", 200),
     ("deny", "shadow", "POST", 200)],
)  # fmt: skip
def test_a_route_that_cant_be_told_is_its_own_outcome(
    unresolved: str, mode: str, method: str, status: int, tmp_path: Path
) -> None:
    with guarding(tmp_path, NO, mode) as guard:
        app = App(guard, [("/known", "refund")], unresolved=unresolved)
        served = app.inside(Starlette(routes=[Route("/known", app.endpoint("known")), Odd(app.ran, "/odd")]))
        assert call(served, http_scope(method, "/odd")).status == status
        assert app.ran == (["odd"] if status == 200 else [])
        assert call(served, http_scope("GET", "/nope")).status == 404
        assert call(served, http_scope("POST", "/nope")).status == 404


class Verbs(HTTPEndpoint):
    ran: list[Any]

    async def get(self, request: Request) -> Response:
        self.ran.append("get")
        return PlainTextResponse("got")


def test_what_runs_no_endpoint_is_not_evaluated(tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [("/refunds", "refund"), ("/verbs", "other"), ("/slashed/", "delete")])
        Verbs.ran = app.ran
        routes = [
            Route("/refunds", app.endpoint("refund"), methods=["POST"]),
            Route("/verbs", Verbs),
            Route("/slashed/", app.endpoint("slashed"), methods=["POST"]),
        ]
        cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
        served = Starlette(routes=routes, middleware=[cors, Middleware(SupervisorMiddleware, **app.options)])
        preflight = [("origin", "http://a.example"), ("access-control-request-method", "POST")]
        assert call(served, http_scope("OPTIONS", "/refunds", headers=preflight)).status == 200
        assert call(served, http_scope("OPTIONS", "/refunds")).status == 405
        assert call(served, http_scope("PUT", "/refunds")).status == 405
        assert call(served, http_scope("POST", "/verbs")).status == 405
        assert call(served, http_scope("FOO", "/verbs")).status == 405
        assert call(served, http_scope("POST", "/nope")).status == 404
        redirect = call(served, http_scope("POST", "/slashed"))
        assert redirect.status == 307
        assert app.actions() == []
        call(served, http_scope("POST", "/slashed/"))
        call(served, http_scope("HEAD", "/verbs"))
        assert app.actions() == ["delete", "other"]


def test_a_browser_can_read_a_refusal(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = App(guard, [("/refunds", "refund")])
        cors = Middleware(CORSMiddleware, allow_origins=["*"])
        routes = [Route("/refunds", app.endpoint("x"), methods=["POST"])]
        served = Starlette(routes=routes, middleware=[cors, Middleware(SupervisorMiddleware, **app.options)])
        answer = call(served, http_scope("POST", "/refunds", headers=[("origin", "http://a.example")]))
        assert answer.status == 403
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("catch_all_first", [True, False])
def test_the_first_match_wins_as_in_the_router(catch_all_first: bool, tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [("/refunds/{id}", "refund"), ("/{p:path}", "other")])
        routes = [Route("/refunds/{id}", app.endpoint("refund")), Route("/{p:path}", app.endpoint("other"))]
        served = app.inside(Starlette(routes=routes[::-1] if catch_all_first else routes))
        call(served, http_scope("GET", "/refunds/7"))
        assert app.actions() == app.ran == ["other" if catch_all_first else "refund"]


@pytest.mark.parametrize("place", ["around", "inside"])
@pytest.mark.parametrize(
    ("own", "from_server", "path"),
    [("", "", "/refunds/7"), ("", "/x", "/x/refunds/7"), ("/x", "", "/refunds/7"), ("/x", "", "/x/refunds/7"),
     ("/x", "/y", "/x/refunds/7")],
)  # fmt: skip
def test_where_the_application_is_deployed_changes_no_action(
    own: str, from_server: str, path: str, place: str, tmp_path: Path
) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [("POST /refunds/{id}", "refund")])
        served = FastAPI()
        served.root_path = own  # the parameter of this name is deprecated, and still in use
        served.add_api_route("/refunds/{id}", app.path_operation("refund"), methods=["POST"])
        call(getattr(app, place)(served), http_scope("POST", path, root_path=from_server))
        assert [row.route for row in rows(guard)] == ["POST /refunds/{id}"]
        assert app.ran == ["refund"]


def test_parameters_of_host_mounts_and_route_come_together_and_converted(tmp_path: Path) -> None:
    policy = ANY.replace("payload.get('amount') == -1", "payload.t == 'acme' and payload.x == 'eu' and payload.y == 10")
    with guarding(tmp_path, policy) as guard:
        app = App(guard, [])
        app.options["rules"] = [
            {"route": "/{x}/refunds/{y:int}", "action": "refund", "payload": ["path.t", "path.x", "path.y"]}
        ]
        mount = Mount("/{x}", routes=[Route("/refunds/{y:int}", app.endpoint("one"))])
        served = app.inside(Starlette(routes=[Host("{t}.example.org", app=Router([mount]))]))
        acme = [("host", "acme.example.org")]
        assert call(served, http_scope("GET", "/eu/refunds/10", headers=acme)).status == 403
        assert call(served, http_scope("GET", "/eu/refunds/0010", headers=acme)).status == 403
        assert call(served, http_scope("GET", "/us/refunds/10", headers=acme)).status == 200
        assert call(served, http_scope("GET", "/eu/refunds/10")).status == 404


def test_headers_that_name_another_method_or_path_are_not_believed(tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [("/refunds", "refund"), ("DELETE /refunds", "delete"), ("/other", "other")])
        served = app.inside(Starlette(routes=[Route("/refunds", app.endpoint("x"), methods=["POST", "DELETE"])]))
        headers = [("x-http-method-override", "DELETE"), ("x-original-url", "/other"), ("x-rewrite-url", "/other"),
                   ("x-forwarded-prefix", "/other")]  # fmt: skip
        call(served, http_scope("POST", "/refunds", headers=headers))
        assert app.actions() == ["refund"]


def test_routes_added_later_are_guarded(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = App(guard, [("/refunds", "refund"), ("/late", "delete")])
        inner = Starlette(routes=[Route("/refunds", app.endpoint("x"))])
        served = app.inside(inner)
        assert call(served, http_scope("GET", "/late")).status == 404
        inner.add_route("/late", app.endpoint("late"))
        assert call(served, http_scope("GET", "/late")).status == 403
        tree, router = FastAPI(), APIRouter()
        tree.include_router(router)
        served = app.inside(tree)
        assert call(served, http_scope("GET", "/late")).status == 404
        router.add_api_route("/late", app.path_operation("late"))
        # Before 0.137 FastAPI copies a router's routes when it includes it, so there a late one doesn't exist.
        assert call(served, http_scope("GET", "/late")).status == (403 if len(tree.routes) == 5 else 404)
        assert app.ran == []


def test_an_application_that_cant_be_looked_into_is_guarded_by_its_prefix(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = App(guard, [("/legacy", "refund"), ("/", "other")])

        async def opaque(scope: Any, receive: Any, send: Any) -> None:
            app.ran.append("opaque")
            await PlainTextResponse("opaque")(scope, receive, send)

        served = app.inside(Starlette(routes=[Mount("/legacy", app=opaque), Route("/free", app.endpoint("free"))]))
        for path in ("/legacy", "/legacy/", "/legacy/deep/er", "/legacy//x"):
            assert call(served, http_scope("GET", path)).status in (403, 307)
        assert call(app.around(opaque), http_scope("GET", "/anything")).status == 403
        assert app.ran == []
        assert call(served, http_scope("GET", "/free")).status == 200


def test_a_guard_on_a_mount_asks_before_everything_in_it_and_nothing_else(tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [])
        own = [Middleware(RouteGuard, action="refund", guard=guard)]
        inside = [Route("/x/{id}", app.endpoint("x")), Route("/y", app.endpoint("y"), methods=["POST"])]
        served = Starlette(routes=[Mount("/in", routes=inside, middleware=own), Route("/out", app.endpoint("out"))])
        for method, path in (("GET", "/in/x/7"), ("POST", "/in/y"), ("GET", "/in/none"), ("GET", "/in/y"),
                             ("GET", "/out")):  # fmt: skip
            call(served, http_scope(method, path))
        assert [row.route for row in rows(guard)] == ["GET /in/x/{id}", "POST /in/y"]


def test_only_our_key_is_added_to_the_scope(tmp_path: Path) -> None:
    with guarding(tmp_path) as guard:
        app = App(guard, [("/x", "refund")])
        seen: list[dict[str, Any]] = []

        class Look:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                seen.append(dict(scope))
                await self.app(scope, receive, send)

        routes = [Route("/x", app.endpoint("x")), Mount("/{m}", routes=[Route("/x", app.endpoint("y"))])]
        stack = [Middleware(Look), Middleware(SupervisorMiddleware, **app.options), Middleware(Look)]
        served = Starlette(routes=routes, middleware=stack)
        for path in ("/x", "/m/x", "/none"):
            seen.clear()
            call(served, http_scope("GET", path))
            before, after = seen
            assert set(after) - set(before) == {"supervisor_guards"}
            assert {key: after[key] for key in before} == before


def _hiding(app: Any) -> Any:
    """Middleware as a function, through which no router can be seen."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


def test_a_layer_that_hides_the_router_hides_no_endpoint(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = App(guard, [("POST /refunds", "refund")])
        routes = [Route("/refunds", app.endpoint("x"), methods=["POST"]), Route("/free", app.endpoint("free"))]
        inside = Starlette(routes=routes)
        inside.add_middleware(_hiding)
        app.inside(inside)
        assert call(inside, http_scope("POST", "/refunds")).status == 403
        assert call(inside, http_scope("GET", "/free")).status == 200
        around = app.around(_hiding(Starlette(routes=routes)))
        assert call(around, http_scope("POST", "/refunds")).status == 400  # it can't be told where this goes
        assert call(around, http_scope("GET", "/free")).status == 200
        assert app.ran == ["free", "free"]
