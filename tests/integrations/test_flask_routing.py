"""Flask's router says which action a request is: by endpoint, blueprint, template or view, and whatever the path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, request
from flask.views import MethodView
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.routing import BaseConverter

from tests.engine import rows
from tests.integrations.flask_client import guarded, guards, send

POLICY = """
name: all
version: 1
action: [refund, delete, report]
rules:
  - id: never
    when: payload.path.get('number') == 10
    action: deny
    reason: ten
"""


def shop(ran: list[str], **options: Any) -> Flask:
    """Endpoints that note what they ran with."""
    app = Flask("shop", **options)

    def refund(number: int) -> str:
        ran.append(f"refund {number}")
        return "refunded"

    app.add_url_rule("/refunds/<int:number>", "refund", refund, methods=["GET", "POST"])
    return app


def one_rule(folder: Path, route: Any, mode: str = "enforce", **rule: Any) -> dict[str, Any]:
    return guards(folder, mode, POLICY, RULES=[{"route": route, "action": "refund", **rule}])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/nope", 404),
        ("DELETE", "/refunds/1", 405),
        ("OPTIONS", "/refunds/1", 200),
        ("POST", "/slashed", 308),
        ("POST", "/refunds//1", 308),
        ("GET", "/static/none.css", 404),
        ("POST", "/early", 401),
    ],
)
def test_nothing_is_asked_where_no_view_runs(method: str, path: str, status: int, tmp_path: Path) -> None:
    ran: list[str] = []
    app = shop(ran)
    app.add_url_rule("/slashed/", "slashed", lambda: ran.append("slashed") or "x", methods=["POST"])
    app.add_url_rule("/early", "early", lambda: ran.append("early") or "x", methods=["POST"])

    @app.before_request
    def authenticate() -> Any:
        return abort(401) if request.path == "/early" else None

    rules = [{"route": name, "action": "refund"} for name in ("refund", "slashed", "early", "static")]
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=rules)) as guard:
        answer = send(app, method, path)
        assert answer.status_code == status
        assert (ran, rows(guard)[1:] if path.startswith("/static") else rows(guard)) == ([], [])


def test_a_redirect_that_is_followed_is_asked_about_once(tmp_path: Path) -> None:
    app = shop([])
    app.add_url_rule("/slashed/", "slashed", lambda: "x", methods=["POST"])
    with guarded(app, one_rule(tmp_path, "POST /slashed/")) as guard:
        assert app.test_client().post("/slashed", follow_redirects=True).status_code == 200
        assert len(rows(guard)) == 1


@pytest.mark.parametrize("method", ["HEAD", "GET", "post", "POST", "Post"])
def test_a_rule_covers_every_spelling_of_its_methods(method: str, tmp_path: Path) -> None:
    ran: list[str] = []
    app = shop(ran)
    with guarded(app, one_rule(tmp_path, "/refunds/<int:number>")):
        send(app, method, "/refunds/10")
        assert ran == []
        send(app, method, "/refunds/11")
        assert ran == ["refund 11"]


@pytest.mark.parametrize(
    "route",
    ["refund", "/refunds/<int:number>", "POST /refunds/<int:number>"],
)
def test_a_rule_names_endpoint_or_template(route: str, tmp_path: Path) -> None:
    app = shop([])
    with guarded(app, one_rule(tmp_path, route)) as guard:
        assert send(app, "POST", "/refunds/10").status_code == 403
        (row,) = rows(guard)
        assert row.route == "POST /refunds/<int:number>"


def test_a_rule_names_a_view_or_its_class(tmp_path: Path) -> None:
    class Refund(MethodView):
        def post(self, number: int) -> str:
            return "ran"

    app = Flask("views")
    app.add_url_rule("/classes/<int:number>", view_func=Refund.as_view("classes"))
    app.add_url_rule("/functions/<int:number>", "functions", lambda number: "ran", methods=["POST"])
    rules = [{"route": app.view_functions["functions"], "action": "refund"}, {"route": Refund, "action": "delete"}]
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=rules)) as guard:
        for path in ("/classes/10", "/functions/10"):
            assert send(app, "POST", path).status_code == 403
        assert [row.action_type for row in rows(guard)] == ["delete", "refund"]


def nested(ran: list[str]) -> Flask:
    app, outer, inner = Flask("nested"), Blueprint("a", "a", url_prefix="/a"), Blueprint("b", "b", url_prefix="/b")

    @inner.post("/<int:number>")
    def view(number: int) -> str:
        ran.append("a.b.view")
        return "x"

    @outer.post("/own/<int:number>")
    def own(number: int) -> str:
        ran.append("a.own")
        return "x"

    outer.register_blueprint(inner)
    app.register_blueprint(outer, url_prefix="/v1")
    app.add_url_rule("/ab/<int:number>", "ab", lambda number: ran.append("ab") or "x", methods=["POST"])
    return app


@pytest.mark.parametrize(
    ("route", "denied"),
    [
        ("a.b.view", {"/v1/b/10"}),
        ("a.b.*", {"/v1/b/10"}),
        ("a.*", {"/v1/b/10", "/v1/own/10"}),
        ("POST /v1/b/<int:number>", {"/v1/b/10"}),
    ],
)
def test_a_rule_names_a_blueprint_with_all_inside_it(route: str, denied: set[str], tmp_path: Path) -> None:
    app = nested([])
    with guarded(app, one_rule(tmp_path, route)):
        found = {path for path in ("/v1/b/10", "/v1/own/10", "/ab/10") if send(app, "POST", path).status_code == 403}
        assert found == denied


def test_where_the_application_is_mounted_changes_nothing(tmp_path: Path) -> None:
    app = shop([])
    with guarded(app, one_rule(tmp_path, "POST /refunds/<int:number>")) as guard:
        for root in ("", "/mounted", "/deep/er"):
            assert send(app, "POST", "/refunds/10", SCRIPT_NAME=root).status_code == 403
        assert {row.route for row in rows(guard)} == {"POST /refunds/<int:number>"}


def test_parameters_are_those_of_host_and_path_before_preprocessors_take_some_out(tmp_path: Path) -> None:
    app = Flask("hosts", subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.example"

    @app.url_value_preprocessor
    def pop_tenant(endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values:
            values.pop("tenant", None)

    @app.post("/<int:number>", subdomain="<tenant>")
    def view(number: int) -> str:
        return "x"

    with guarded(app, one_rule(tmp_path, "view")) as guard:
        answer = app.test_client().post("/7", base_url="http://acme.shop.example")
        assert answer.status_code == 200
        (row,) = rows(guard)
        assert json.loads(row.payload)["path"] == {"tenant": "acme", "number": 7}


def test_parameters_are_converted_as_the_view_gets_them(tmp_path: Path) -> None:
    class Ten(BaseConverter):
        def to_python(self, value: str) -> int:
            return 10 if value == "ten" else 1

    app = Flask("converted")
    app.url_map.converters["ten"] = Ten
    app.add_url_rule("/<ten:number>", "view", lambda number: str(number), methods=["POST"])
    with guarded(app, one_rule(tmp_path, "view")):
        assert send(app, "POST", "/ten").status_code == 403
        assert send(app, "POST", "/one").text == "1"


def test_the_method_is_that_which_the_router_saw(tmp_path: Path) -> None:
    """A middleware of the application may change it; a header alone does not."""
    ran: list[str] = []
    app = Flask("override")
    app.add_url_rule("/<int:number>", "read", lambda number: ran.append("read") or "x", methods=["GET"])
    app.add_url_rule("/<int:number>", "delete", lambda number: ran.append("delete") or "x", methods=["DELETE"])
    inner = app.wsgi_app

    def override(environ: Any, start_response: Any) -> Any:
        environ["REQUEST_METHOD"] = environ.get("HTTP_X_METHOD", environ["REQUEST_METHOD"])
        return inner(environ, start_response)

    app.wsgi_app = override  # type: ignore[method-assign]
    with guarded(app, one_rule(tmp_path, "DELETE /<int:number>")):
        assert send(app, "GET", "/10", headers=[("x-method", "DELETE")]).status_code == 403
        assert send(app, "GET", "/10", headers=[("x-http-method-override", "DELETE")]).status_code == 200
        assert ran == ["read"]


def test_a_route_that_is_added_later_is_guarded(tmp_path: Path) -> None:
    app = shop([])
    settings = guards(tmp_path, policy=POLICY, RULES=[{"route": "POST /late/<int:number>", "action": "refund"}])
    with guarded(app, settings):
        send(app, "POST", "/refunds/1")
        app._got_first_request = False  # Flask itself warns of late routes; reloaders and plugins do this
        app.add_url_rule("/late/<int:number>", "late", lambda number: "x", methods=["POST"])
        assert send(app, "POST", "/late/10").status_code == 403


def test_a_view_that_is_replaced_later_is_guarded(tmp_path: Path) -> None:
    app = shop([])
    replaced = lambda number: "other"  # noqa: E731
    rules = [{"route": "GET /refunds/<int:number>", "action": "refund"}, {"route": replaced, "action": "delete"}]
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=rules)) as guard:
        assert send(app, "GET", "/refunds/10").status_code == 403
        app.view_functions["refund"] = replaced
        assert send(app, "GET", "/refunds/1").text == "other"
        assert sorted(row.action_type for row in rows(guard)) == ["delete", "refund", "refund"]


def test_of_two_routes_that_match_it_is_the_one_that_runs(tmp_path: Path) -> None:
    ran: list[str] = []
    app = shop(ran)
    app.add_url_rule("/<path:number>", "anything", lambda number: ran.append("anything") or "x", methods=["POST"])
    rules = [{"route": "anything", "action": "delete"}, {"route": "refund", "action": "refund"}]
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=rules)) as guard:
        for path, ran_last, action in (("/refunds/1", "refund 1", "refund"), ("/refunds/x", "anything", "delete")):
            send(app, "POST", path)
            assert (ran[-1], rows(guard)[-1].action_type) == (ran_last, action)


VARIANTS = [
    "%0A", "%0D", "%00", "%2F", "%3F", "%23", "%72", "/", "//", "/./", "/x/../", ";v=2", "%20", "%E2%81%84", "%D9%A1",
    "1_0", "+1", "0001", "..", "%2e%2e", "\\", "|", "~",
]  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, Any, list[str]]]:
    """An application whose guard keeps its decisions in memory, and what ran."""
    ran: list[str] = []
    app = shop(ran)
    settings = {**one_rule(tmp_path_factory.mktemp("paths"), "refund"), "DATABASE": "memory:"}
    with guarded(app, settings) as guard:
        yield app, guard, ran


@hypothesis_settings(deadline=None, max_examples=200)
@given(
    parts=st.lists(st.sampled_from(["/", "1", "10", "refunds", "REFUNDS", *VARIANTS]), max_size=4),
    method=st.sampled_from(["GET", "HEAD", "POST", "post", "PUT", "OPTIONS", "FOO"]),
)
def test_no_path_separates_guard_and_application(
    parts: list[str], method: str, asked: tuple[Flask, Any, list[str]]
) -> None:
    """Whatever is asked for: if the view ran, it was decided on, with the parameters that it ran with."""
    app, guard, ran = asked
    ran.clear()
    before = len(rows(guard))
    send(app, method, "/refunds/" + "".join(parts))
    new = rows(guard)[before:]
    assert ran == [f"refund {json.loads(row.payload)['path']['number']}" for row in new if row.outcome == "allow"]
