"""`supervised_view` on every form of view, exemptions, and guards that can't take effect."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Blueprint, Flask, request
from flask.views import MethodView, View
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from supervisor_guards.errors import ConfigurationError
from supervisor_guards_flask import SupervisorGuards, audit, get_decision, supervised_exempt, supervised_view
from tests.engine import rows
from tests.integrations.flask_client import guarded, guards, send

JSON = [("content-type", "application/json")]
LARGE, SMALL = b'{"amount": 20000, "order_id": "o"}', b'{"amount": 2, "order_id": "o"}'
refunds = supervised_view("refund", payload=["body.amount", "body.order_id"])


@refunds
def function() -> str:
    return str(request.get_json(force=True)["amount"])


@refunds
async def coroutine() -> str:
    return str(request.get_json(force=True)["amount"])


class Decorators(MethodView):
    decorators: ClassVar[list[Any]] = [refunds]

    def post(self) -> str:
        return function.__wrapped__()  # type: ignore[attr-defined, no-any-return]


class OneMethod(MethodView):
    @refunds
    def post(self) -> str:
        return function.__wrapped__()  # type: ignore[attr-defined, no-any-return]

    def delete(self) -> str:
        return "deleted"


class AsyncMethod(MethodView):
    @refunds
    async def post(self) -> str:
        return function.__wrapped__()  # type: ignore[attr-defined, no-any-return]


@refunds
class Dispatch(View):
    methods: ClassVar[list[str]] = ["POST"]
    init_every_request = False

    def dispatch_request(self) -> str:
        return function.__wrapped__()  # type: ignore[attr-defined, no-any-return]


FORMS: dict[str, Any] = {
    "function": lambda: function,
    "async function": lambda: coroutine,
    "decorators of a class": lambda: Decorators.as_view("view"),
    "one method": lambda: OneMethod.as_view("view"),
    "an async method": lambda: AsyncMethod.as_view("view"),
    "the whole class": lambda: Dispatch.as_view("view"),
}


def application(view: Any) -> Flask:
    app = Flask("decorated")
    app.add_url_rule("/refunds", "view", view, methods=None if hasattr(view, "view_class") else ["POST"])
    return app


@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("form", FORMS)
def test_each_call_is_asked_about_once(form: str, mode: str, ruled: bool, tmp_path: Path) -> None:
    """Also where a rule of the settings names the same action: the view's own guard asks."""
    app = application(FORMS[form]())
    rules = [{"route": "POST /refunds", "action": "refund"}] if ruled else []
    with guarded(app, guards(tmp_path, mode, RULES=rules)) as guard:
        assert send(app, "POST", "/refunds", SMALL, JSON).text == "2"
        answer = send(app, "POST", "/refunds", LARGE, JSON)
        assert answer.status_code == (403 if mode == "enforce" else 200)
        stored = {(row.would_have or row.outcome, row.result) for row in rows(guard)}
        assert stored == {("allow", "returned"), ("deny", "not-run" if mode == "enforce" else "returned")}
        assert guard.stats().decisions == 2
        assert app.extensions["supervisor_guards"].tripwire.guard_bypass_total == 0


def test_names_and_methods_of_views_stay() -> None:
    assert (function.__name__, coroutine.__name__) == ("function", "coroutine")
    app = Flask("names")
    app.post("/f")(function)
    app.add_url_rule("/c", view_func=OneMethod.as_view("c"))
    assert {rule.endpoint for rule in app.url_map.iter_rules()} >= {"function", "c"}
    (rule,) = app.url_map.iter_rules("c")
    assert rule.methods is not None
    assert rule.methods >= {"POST", "DELETE"}


def test_other_methods_of_a_class_are_not_asked_about(tmp_path: Path) -> None:
    app = application(OneMethod.as_view("view"))
    with guarded(app, guards(tmp_path, RULES=[])) as guard:
        assert send(app, "DELETE", "/refunds").text == "deleted"
        assert rows(guard) == []


def test_methods_narrow_a_guard(tmp_path: Path) -> None:
    app = application(supervised_view("refund", payload=["query.amount:number"], methods=["POST"])(lambda: "ran"))
    app.add_url_rule("/refunds", "view", methods=["PUT"])
    with guarded(app, guards(tmp_path, RULES=[])):
        assert send(app, "PUT", "/refunds?amount=20000").status_code == 200
        assert send(app, "POST", "/refunds?amount=20000").status_code == 403


def test_a_rule_does_not_rely_on_a_guard_that_is_in_shadow_or_never_called(tmp_path: Path) -> None:
    class OwnDispatch(MethodView):
        @refunds
        def post(self) -> str:
            return "guarded"

        def dispatch_request(self, **kwargs: Any) -> str:
            return "unguarded"

    shadowed = supervised_view("refund", payload=["body.amount"], mode="shadow")(lambda: "ran")
    by_reviews = supervised_view("refund", payload=["body.amount"], on_review="shadow")(lambda: "ran")
    rules = [{"route": "POST /refunds", "action": "refund", "payload": ["body.amount", "body.order_id"]}]
    for number, view in enumerate((OwnDispatch.as_view("view"), shadowed, by_reviews)):
        app = application(view)
        with guarded(app, guards(tmp_path / str(number), RULES=rules)):
            assert send(app, "POST", "/refunds", LARGE, JSON).status_code == 403


def test_a_view_that_calls_another_is_asked_about_both(tmp_path: Path) -> None:
    @supervised_view("export", payload=["body.amount"], mode="shadow")
    def outer() -> str:
        return function() + function()

    app = application(outer)
    with guarded(app, guards(tmp_path, RULES=[])) as guard:
        assert send(app, "POST", "/refunds", SMALL, JSON).text == "22"
        assert sorted(row.action_type for row in rows(guard)) == ["export", "refund", "refund"]


def test_a_view_that_raises_is_recorded_so(tmp_path: Path) -> None:
    def failing() -> str:
        raise LookupError("the view's own")

    app = application(refunds(failing))
    with guarded(app, guards(tmp_path, RULES=[])) as guard:
        assert send(app, "POST", "/refunds", SMALL, JSON).status_code == 500
        app.testing = True
        with pytest.raises(LookupError):
            send(app, "POST", "/refunds", SMALL, JSON)
        assert [row.result for row in rows(guard)] == ["raised", "raised"]


def test_the_decision_is_at_hand_in_the_view(tmp_path: Path) -> None:
    seen: list[Any] = []

    @refunds
    def view() -> str:
        seen.append((get_decision(request), get_decision(request, "other")))
        return "ran"

    app = application(view)
    with guarded(app, guards(tmp_path, RULES=[])):
        send(app, "POST", "/refunds", SMALL, JSON)
    ((decision, other),) = seen
    assert (decision.action_type, decision.outcome.value, other) == ("refund", "allow", None)
    assert get_decision(request) is None


def test_arguments_that_are_wrong_are_told_where_the_decorator_stands() -> None:
    with pytest.raises(ConfigurationError, match=r"payload: 'bdy.amount' reads from 'bdy'; did you mean 'body'"):
        supervised_view("refund", payload=["bdy.amount"])
    with pytest.raises(TypeError, match="needs a view"):
        supervised_view("refund")("refund")  # type: ignore[type-var]


def test_without_the_extension_nothing_runs() -> None:
    app = application(function)
    app.testing = True
    with pytest.raises(RuntimeError, match=r"needs the extension: call SupervisorGuards\(\).init_app\(app\)"):
        send(app, "POST", "/refunds", SMALL, JSON)


def test_a_guard_above_the_registering_line_is_a_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("wrong")

    @supervised_view("refund")
    @app.post("/refunds")
    def refund() -> str:
        return "unguarded"

    with guarded(app, guards(tmp_path, "shadow", RULES=[])), caplog.at_level(logging.WARNING):
        (problem,) = audit(app).problems
        assert problem.startswith(f"{__file__}:")
        assert "the guard of" in problem
        assert "never runs: put it below the line that registers the route" in problem
        with pytest.raises(ConfigurationError, match="never runs"):
            SupervisorGuards().check(app)
        send(app, "POST", "/refunds")
        assert problem in caplog.text


def test_the_audit_lists_what_is_guarded_exempt_and_open(tmp_path: Path) -> None:
    extension = SupervisorGuards()
    app, health, inner = Flask("audited"), Blueprint("health", "health"), Blueprint("inner", "inner")
    inner.add_url_rule("/ping", "ping", lambda: "x", methods=["POST"])
    health.register_blueprint(inner)
    app.register_blueprint(health)
    app.add_url_rule("/hook", "hook", supervised_exempt(reason="signed by its sender")(lambda: "x"), methods=["POST"])
    app.add_url_rule("/class", view_func=extension.exempt(OneMethod.as_view("class"), reason="a test"))
    app.add_url_rule("/open", "open", lambda: "x", methods=["PUT"])
    app.add_url_rule("/ruled", "ruled", lambda: "x", methods=["POST"])
    app.add_url_rule("/own", "own", function, methods=["POST"])
    extension.exempt(health, reason="no effect")
    rules = [{"route": "ruled", "action": "a"}, {"route": "POST /typo", "action": "b"}]
    with guarded(app, guards(tmp_path, "shadow", RULES=rules)):
        found = audit(app)
    assert {str(one.route): one.actions for one in found.covered} == {
        "POST /ruled": ("a",),
        "POST /own": ("refund",),
        "DELETE,POST /class": ("refund",),
    }
    assert {str(one): one.exempt_reason for one in found.exempt} == {
        "POST /ping": "no effect",
        "POST /hook": "signed by its sender",
    }
    assert [str(one) for one in found.unguarded] == ["PUT /open"]
    assert [rule.route for rule in found.rules_without_route] == ["POST /typo"]


def test_an_exempt_view_is_asked_about_where_a_rule_names_it(tmp_path: Path) -> None:
    """The reason is for people; nothing is switched off by it."""
    app = Flask("exempt")
    app.add_url_rule("/x", "x", SupervisorGuards().exempt(lambda: "ran", reason="none"), methods=["POST"])
    rules = [{"route": "x", "action": "refund", "payload": ["body.amount"]}]
    with guarded(app, guards(tmp_path, RULES=rules)):
        assert send(app, "POST", "/x", LARGE, JSON).status_code == 403
    with pytest.raises(ConfigurationError, match="say in words why"):
        SupervisorGuards().exempt(lambda: "x", reason=" ")


def test_plain_guards_on_a_view_are_asked_beside_the_rule(tmp_path: Path) -> None:
    from supervisor_guards import supervised

    app = Flask("plain")

    @app.post("/refunds/<order_id>")
    @supervised("refund", payload=lambda order_id: {"order_id": order_id, "amount": 20_000})
    def refund(order_id: str) -> str:
        return "ran"

    with guarded(app, guards(tmp_path)) as guard:
        answer = send(app, "POST", "/refunds/o-1", SMALL, JSON)
        assert (answer.status_code, json.loads(answer.data)["type"].rpartition("/")[2]) == (403, "denied")
        assert {(row.outcome, row.route, row.result) for row in rows(guard)} == {
            ("allow", "POST /refunds/<order_id>", "raised"),
            ("deny", "POST /refunds/<order_id>", "not-run"),
        }


def test_applications_mounted_beside_are_listed_as_opaque(tmp_path: Path) -> None:
    """No rule of the outer one reaches there; an inner Flask application has an extension of its own."""
    app, inner = Flask("outer"), application(function)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": inner})  # type: ignore[method-assign]
    with guarded(app, guards(tmp_path / "outer", RULES=[])), guarded(inner, guards(tmp_path / "inner", RULES=[])):
        (mount,) = audit(app).unguarded
        assert (mount.template, mount.opaque, mount.names) == ("/inner", True, ("decorated",))
        assert send(app, "POST", "/inner/refunds", LARGE, JSON).status_code == 403
