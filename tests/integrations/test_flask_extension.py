"""The extension: one state for each application, settings from everywhere Flask has them, faults told at the start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from supervisor_guards import Guard, GuardConfig, SupervisorBlocked, get_guard
from supervisor_guards import guarded as call_guarded
from supervisor_guards.errors import ConfigurationError
from supervisor_guards_flask import SupervisorGuards
from tests.engine import default_guard, rows, settings
from tests.integrations import contract
from tests.integrations.flask_client import contract_app, guarded, guards, send

JSON = [("content-type", "application/json")]


def test_one_application_is_guarded_once(tmp_path: Path) -> None:
    app = contract_app([])
    with guarded(app, guards(tmp_path)) as guard:
        with pytest.raises(RuntimeError, match="already: call init_app once for each application"):
            SupervisorGuards().init_app(app)
        send(app, "POST", "/refunds/o-1", b'{"amount": 1}', JSON)
        assert len(rows(guard)) == 1


def test_after_the_first_request_it_is_too_late() -> None:
    app = contract_app([])
    send(app, "POST", "/free")
    with pytest.raises(RuntimeError, match="has served a request already, some of it unguarded"):
        SupervisorGuards(app)


def test_two_applications_have_rules_and_guards_of_their_own(tmp_path: Path) -> None:
    """One extension serves both; nothing of an application is kept on it."""
    extension, apps = SupervisorGuards(), {name: contract_app([]) for name in ("one", "two")}
    rules = [{"route": "POST /free", "action": "refund", "payload": ["body.amount"]}]
    apps["one"].config["SUPERVISOR_GUARDS"] = guards(tmp_path / "one")
    apps["two"].config["SUPERVISOR_GUARDS"] = guards(tmp_path / "two", RULES=rules)
    for app in apps.values():
        extension.init_app(app)
    assert vars(extension) == {}
    try:
        for name, path, status in (
            ("one", "/refunds/o-1", 403),
            ("one", "/free", 200),
            ("two", "/refunds/o-1", 200),
            ("two", "/free", 403),
        ):
            assert send(apps[name], "POST", path, b'{"amount": 20000}', JSON).status_code == status
        stored = {name: [row.route for row in rows(extension.guard(app))] for name, app in apps.items()}
        assert stored == {"one": ["POST /refunds/<order_id>"], "two": ["POST /free"]}
    finally:
        for app in apps.values():
            extension.close(app)


def test_plain_guards_ask_the_guard_of_the_application_that_is_served(tmp_path: Path) -> None:
    """Outside of applications it is the default guard; a request to another application inside a view is that one's."""
    inner, outer = Flask("inner"), Flask("outer")

    @inner.post("/pay")
    def pay() -> str:
        return call_guarded("refund", {"amount": 5, "order_id": "inner"}, lambda: "paid")

    @outer.post("/forward")
    def forward() -> str:
        answer = inner.test_client().post("/pay").text
        return call_guarded("refund", {"amount": 5, "order_id": "outer"}, lambda: answer)

    (tmp_path / "default").mkdir()
    with (
        default_guard(settings(tmp_path / "default", policy=contract.POLICY)) as plain,
        guarded(inner, guards(tmp_path / "inner", RULES=[])) as of_inner,
        guarded(outer, guards(tmp_path / "outer", RULES=[])) as of_outer,
    ):
        assert send(outer, "POST", "/forward").text == "paid"
        call_guarded("refund", {"amount": 5, "order_id": "plain"}, lambda: None)
        with inner.app_context():
            assert get_guard() is of_inner
        assert get_guard() is plain
        assert [len(rows(one)) for one in (plain, of_inner, of_outer)] == [1, 1, 1]
        (row,) = rows(of_inner)
        assert row.route == "POST /pay"
        assert rows(plain)[0].route is None


def test_what_a_plain_guard_refuses_outside_a_request_is_raised(tmp_path: Path) -> None:
    app = Flask("commands")
    with guarded(app, guards(tmp_path, RULES=[])), app.app_context(), pytest.raises(SupervisorBlocked):
        call_guarded("refund", {"amount": 20_000, "order_id": "o"}, lambda: None)


def configured(**config: Any) -> GuardConfig:
    app = Flask("configured")
    app.config.update(config)
    SupervisorGuards(app)
    found: GuardConfig = app.extensions["supervisor_guards"].settings.config
    return found


def test_the_dict_stands_before_single_keys_and_these_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_SAMPLE_PERCENT", "1")
    monkeypatch.setenv("SUPERVISOR_QUEUE_SIZE", "11")
    monkeypatch.setenv("SUPERVISOR_REVIEW_TIMEOUT_SECONDS", "3")
    found = configured(
        SUPERVISOR_GUARDS={"SAMPLE_PERCENT": 30},
        SUPERVISOR_SAMPLE_PERCENT=20,
        SUPERVISOR_QUEUE_SIZE=22,
    )
    assert (found.sample_percent, found.queue_size, found.review_timeout_seconds) == (30, 22, 3.0)


def test_from_prefixed_env(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "FLASK_SUPERVISOR_GUARDS__MODE": "shadow",
        "FLASK_SUPERVISOR_GUARDS__SAMPLE_PERCENT": "40",
        "FLASK_SUPERVISOR_GUARDS__REDACT": "iban,tax_id",
        "FLASK_SUPERVISOR_GUARDS__RULES": '[{"route": "POST /free", "action": "free"}]',
        "FLASK_SUPERVISOR_APP_ID": "17",
        "FLASK_SUPERVISOR_FORCE_SHADOW": "true",
    }.items():
        monkeypatch.setenv(name, text)
    app = Flask("prefixed")
    app.config.from_prefixed_env()
    SupervisorGuards(app)
    found = app.extensions["supervisor_guards"].settings
    assert found.problems == ()
    assert (found.config.sample_percent, found.config.redact) == (40, ("iban", "tax_id"))
    assert (found.config.app_id, found.config.force_shadow) == ("17", True)
    assert [rule.action for rule in found.rules] == ["free"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"MODE": "enforce", "POLICI": "x"}, "unknown setting 'POLICI'; did you mean 'POLICY'?"),
        ({"MODE": "enforce", "RULE": []}, "unknown setting 'RULE'; did you mean 'RULES'?"),
        ({"MODE": "enforcd"}, "enforcement_mode (SUPERVISOR_ENFORCEMENT_MODE)='enforcd': choose one of"),
        ({"MODE": "enforce", "RULES": [{"route": "POST /x", "acton": "x"}]}, "unknown key 'acton'; did you mean"),
        ({"RULES": [{"route": "POST /x", "mode": "enforce"}]}, "'action' is missing"),
        ({"MODE": "enforce", "USER_RESOLVER": "shop.nowhere"}, "USER_RESOLVER='shop.nowhere' can't be imported"),
        ({"MODE": "enforce", "UNRESOLVED": "maybe"}, "UNRESOLVED='maybe': choose one of deny, warn"),
        ({"MODE": "enforce", "RAISE_ERRORS": "sometimes"}, "RAISE_ERRORS='sometimes': give True or False"),
        ({"MODE": "enforce", "DATABASE": "default"}, "DATABASE='default': give a URL"),
        ({"MODE": "enforce", "MAX_BODY_BYTES": 0}, "MAX_BODY_BYTES=0: give a whole number of at least 1"),
        ({"MODE": "enforce", "ACTIONS": {"x": {"mod": "shadow"}}}, "actions['x']['mod'] is not a setting"),
        (
            {"MODE": "enforce", "RULES": [{"route": "POST /x", "action": "x", "on_review": "block"}]},
            "on_review='block' would hold the worker until a person decides",
        ),
        (
            {"MODE": "enforce", "ON_REVIEW": "block", "RULES": [{"route": "POST /x", "action": "x"}]},
            "on_review='block' would hold the worker until a person decides",
        ),
        ("enforce", "SUPERVISOR_GUARDS='enforce': give a dict"),
    ],
)
def test_wrong_settings_stop_the_start_where_something_is_enforced(wrong: Any, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        configured(SUPERVISOR_GUARDS=wrong)
    assert told in str(raised.value)


def test_single_keys_that_nobody_knows_are_told_too() -> None:
    with pytest.raises(ConfigurationError, match="unknown setting 'POLICI'; did you mean 'POLICY'"):
        configured(SUPERVISOR_ENFORCEMENT_MODE="enforce", SUPERVISOR_POLICI="x.yaml")


def test_in_shadow_wrong_settings_are_logged_and_requests_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = contract_app([])
    with guarded(app, guards(tmp_path, "shadow", QUEUE_SIZE="many", RULES=[{"route": "POST /free"}])):
        assert send(app, "POST", "/free").status_code == 200
    assert "running in shadow; mend SUPERVISOR_GUARDS of 'contract'" in caplog.text
    assert "'action' is missing" in caplog.text


def test_a_policy_that_is_missing_refuses_and_never_allows(tmp_path: Path) -> None:
    """The policy is opened by the first request: until it is there, enforced actions are refused, others served."""
    ran: list[str] = []
    app = contract_app(ran)
    app.config["SUPERVISOR_GUARDS"] = {**guards(tmp_path), "POLICY": str(tmp_path / "nowhere.yaml")}
    extension = SupervisorGuards(app)
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        extension.check(app)
    answer = send(app, "POST", "/refunds/o-1", b'{"amount": 1}', JSON)
    assert (answer.status_code, ran) == (503, [])
    assert answer.json["type"].endswith("/supervisor-unavailable")  # type: ignore[index]
    assert send(app, "POST", "/free").status_code == 200


def test_a_guard_may_be_given(tmp_path: Path) -> None:
    app = contract_app([])
    app.config["SUPERVISOR_GUARDS"] = {"RULES": guards(tmp_path)["RULES"]}
    guard = Guard(settings(tmp_path, "enforce", contract.POLICY))
    SupervisorGuards(app, guard=guard)
    try:
        assert send(app, "POST", "/refunds/o-1", b'{"amount": 20000}', JSON).status_code == 403
    finally:
        guard.close()


def test_the_start_opens_nothing(tmp_path: Path) -> None:
    """Neither files nor sockets nor threads: several processes may start from one that is only imported."""
    program = (
        "import threading, flask\n"
        "from supervisor_guards_flask import SupervisorGuards\n"
        "import socket; socket.socket = None\n"
        "app = flask.Flask('x'); app.config['SUPERVISOR_GUARDS'] = {'MODE': 'enforce'}\n"
        "SupervisorGuards(app)\n"
        "assert threading.active_count() == 1\n"
        "import sys; assert not {'sqlalchemy', 'flask_login', 'django', 'starlette', 'httpx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_an_application_without_the_extension_say_so() -> None:
    app = Flask("bare")
    with pytest.raises(RuntimeError, match="not on this application: call init_app"):
        SupervisorGuards().guard(app)
