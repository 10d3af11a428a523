"""No request runs a guarded view undecided: hooks that change it, routers of its own, failures of ours."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, redirect, request
from flask.views import MethodView

from tests.engine import rows
from tests.integrations.flask_client import guarded, guards, send
from tests.integrations.test_flask_routing import POLICY, one_rule, shop


@pytest.mark.parametrize(("unresolved", "status"), [("deny", 400), ("warn", 200)])
def test_a_request_of_which_the_router_says_nothing_is_refused(
    unresolved: str, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An application with a router of its own; what may change nothing passes."""

    class OwnRouter(Flask):
        def create_url_adapter(self, request: Any) -> Any:
            return None

        def dispatch_request(self) -> Any:
            return "ran"

    app = OwnRouter("own")
    with guarded(app, {**one_rule(tmp_path, "/x"), "UNRESOLVED": unresolved}):
        assert send(app, "POST", "/x").status_code == status
        assert "it can't be told which route a request is" in caplog.text
        assert send(app, "GET", "/x").status_code == 200


def test_a_view_that_ran_without_a_decision_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An application that leaves its hooks out, or changes the route after the guard was asked."""

    class Hookless(Flask):
        def preprocess_request(self) -> None:
            return None

    def rerouted() -> Flask:
        app = shop([])
        app.add_url_rule("/free", "free", lambda: "x", methods=["POST"])
        return app

    app = Hookless("hookless")
    app.add_url_rule("/free", "free", lambda: "x", methods=["POST"])
    with guarded(app, one_rule(tmp_path / "one", "free")) as guard:
        assert send(app, "POST", "/free").status_code == 200
        assert rows(guard) == []
        assert app.extensions["supervisor_guards"].tripwire.guard_bypass_total == 1
        send(app, "POST", "/nope")
        send(app, "OPTIONS", "/free")
        assert app.extensions["supervisor_guards"].tripwire.guard_bypass_total == 1
    app = rerouted()
    with guarded(app, one_rule(tmp_path / "two", "refund")):

        @app.before_request
        def reroute() -> None:
            (target,) = app.url_map.iter_rules("refund")
            request.url_rule, request.view_args = target, {"number": 10}

        with caplog.at_level(logging.ERROR):
            send(app, "POST", "/free")
        assert app.extensions["supervisor_guards"].tripwire.guard_bypass_total == 1
    assert "a guarded endpoint ran without a decision" in caplog.text


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_ordinary_traffic_reports_no_bypass(mode: str, tmp_path: Path) -> None:
    app = shop([])
    app.add_url_rule("/away", "away", lambda: redirect("/"), methods=["POST"])
    app.add_url_rule("/cached", "cached", lambda: "view", methods=["POST"])
    app.before_request(lambda: "from a cache" if request.path == "/cached" else None)
    rules = [{"route": name, "action": "refund"} for name in ("refund", "away", "cached")]
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=rules)):
        for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT"):
            for path in ("/refunds/1", "/refunds/10", "/away", "/cached", "/nope"):
                send(app, method, path)
        assert app.extensions["supervisor_guards"].tripwire.guard_bypass_total == 0


def test_a_hook_before_the_guard_may_change_route_method_and_parameters(tmp_path: Path) -> None:
    """What it makes of the request is what is asked about."""
    ran: list[str] = []

    class Both(MethodView):
        def get(self, number: int) -> str:
            ran.append("get")
            return "x"

        def delete(self, number: int) -> str:
            ran.append("delete")
            return "x"

    app = shop(ran)
    app.add_url_rule("/both/<int:number>", view_func=Both.as_view("both"))
    app.add_url_rule("/free", "free", lambda: "x", methods=["POST"])

    @app.before_request
    def change() -> None:
        wish = request.headers.get("x-wish")
        if wish == "method":
            request.method = "DELETE"
        elif wish == "parameter":
            request.view_args = {"number": 10}
        elif wish == "route":
            (target,) = app.url_map.iter_rules("refund")
            request.url_rule, request.view_args, request.routing_exception = target, {"number": 10}, None

    rules = [{"route": "DELETE /both/<int:number>", "action": "delete"}, {"route": "refund", "action": "refund"}]
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=rules)):
        for wish, method, path in (
            ("method", "GET", "/both/10"),
            ("parameter", "POST", "/refunds/1"),
            ("route", "POST", "/free"),
            ("route", "POST", "/nowhere"),
        ):
            answer = send(app, method, path, headers=[("x-wish", wish)])
            assert (wish, answer.status_code, ran) == (wish, 403, [])
        assert send(app, "GET", "/both/10").status_code == 200


@pytest.mark.parametrize(("mode", "status"), [("shadow", 200), ("enforce", 503)])
def test_a_failure_of_the_guard_itself_never_allows(mode: str, status: int, tmp_path: Path) -> None:
    """A view whose marks can't be read, a method that changes nothing included; in shadow it is only logged."""

    class Unreadable(dict[str, Any]):
        def get(self, *args: Any) -> Any:
            raise RuntimeError("broken")

    app = shop([])
    with guarded(app, one_rule(tmp_path, "refund", mode)):
        app.extensions["supervisor_guards"].place_of = Unreadable().get
        app.extensions["supervisor_guards"].places.clear()
        assert send(app, "GET", "/refunds/1").status_code == status
