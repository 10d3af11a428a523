"""Each system check has an id, a message that names the value, and a hint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.django_client import guarded, guards

from django.conf import settings  # isort: skip
from django.core.checks import run_checks  # isort: skip
from django.test import override_settings  # isort: skip

from supervisor_guards.web import RouteRule, RouteRules
from supervisor_guards_django import conf
from supervisor_guards_django.decorators import supervised_view
from supervisor_guards_django.routes import audit, list_routes

ODD = "tests.integrations.django_project.odd_views"
OURS = "supervisor_guards_django.middleware.SupervisorMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
RULE = {"route": "form", "action": "refund"}


class Only:
    """A URLconf of one view that takes POST alone."""

    from django.urls import path
    from django.views.decorators.http import require_POST

    urlpatterns = (path("only", require_POST(lambda request: None)),)


def lost(request: Any) -> Any: ...


class Around:
    """A URLconf of a view that somebody guarded, and didn't route so."""

    from django.urls import path

    urlpatterns = (path("lost", lost),)


def told(value: Any, deploy: bool = False, **others: Any) -> dict[str, str]:
    """Our messages by id, with their hints, for a project with these settings."""
    with override_settings(SUPERVISOR_GUARDS=value, **{"ROOT_URLCONF": ODD, **others}):
        found = run_checks(tags=["supervisor_guards"], include_deployment_checks=deploy)
    return {str(one.id).partition(".")[2]: f"{one.msg} {one.hint}" for one in found}


def rules(**fields: Any) -> dict[str, Any]:
    return {"RULES": [{**RULE, **fields}]}


@pytest.mark.parametrize(
    ("identity", "value", "words"),
    [
        ("E001", ["MODE"], ["SUPERVISOR_GUARDS=['MODE']", "Give a dict"]),
        ("E002", {"MOED": "shadow"}, ["unknown setting 'MOED'", "Did you mean 'MODE'?"]),
        ("E002", {"RULE": []}, ["unknown setting 'RULE'", "Did you mean 'RULES'?"]),
        ("E002", {"COLOUR": 1}, ["unknown setting 'COLOUR'", "RULES, USER_RESOLVER"]),
        ("E003", {"MODE": "enforced"}, ["'enforced'", "Choose one of shadow, sample, enforce"]),
        ("E003", {"UNRESOLVED": "maybe"}, ["UNRESOLVED='maybe'", "Choose one of deny, warn"]),
        ("E003", {"MAX_BODY_BYTES": 0}, ["MAX_BODY_BYTES=0", "Give a whole number"]),
        ("E003", {"REVIEW_URL": 7}, ["REVIEW_URL=7", "Give a path"]),
        ("E003", {"DATABASE": 7}, ["DATABASE=7", "Give an alias"]),
        ("E004", {"RULES": [{"route": "form"}]}, ["rule 'form'", "'action' is missing"]),
        ("E004", {"RULES": [{**RULE, "mdoe": "shadow"}]}, ["unknown key 'mdoe'", "Did you mean 'mode'?"]),
        ("E004", {"RULES": "form"}, ["RULES='form'", "Give a list of rules"]),
        ("E005", {"USER_RESOLVER": "shop.who"}, ["USER_RESOLVER='shop.who'", "No module named 'shop'"]),
        ("E005", {"USER_RESOLVER": 7}, ["USER_RESOLVER=7", "Give a callable"]),
        ("E006", rules(on_review="block"), ["rule 'form'", "Remove on_review='block'"]),
        ("E007", rules(route="from"), ["rule 'from'", "Did you mean 'form'?"]),
        ("E007", rules(route="POST /orders/<int:id>/refund"), ["Did you mean '/orders/<int:order_id>/refund'?"]),
        ("W005", rules(route="POST /form"), ["may answer other methods", "require_http_methods"]),
    ],
)
def test_a_fault_of_the_settings_is_told(identity: str, value: Any, words: list[str]) -> None:
    found = told(value)
    assert set(found) == {identity}
    for word in words:
        assert word in found[identity]


@pytest.mark.parametrize(
    ("identity", "middleware"),
    [
        ("W001", [AUTH, CSRF]),
        ("W002", [CSRF, OURS, AUTH]),
        ("W003", [AUTH, OURS, CSRF]),
        ("E008", [AUTH, CSRF, OURS, OURS]),
        (None, [AUTH, CSRF, OURS]),
    ],
)
def test_the_middleware_s_place_is_looked_at(identity: str | None, middleware: list[str]) -> None:
    found = told(rules(), MIDDLEWARE=middleware)
    assert set(found) == ({identity} if identity else set())
    assert all(OURS in text for text in found.values())


def test_a_middleware_of_one_s_own_counts_as_its_base() -> None:
    own = f"{__name__}.OwnAuthentication"
    assert set(told(rules(), MIDDLEWARE=[CSRF, OURS, own])) == {"W002"}


class OwnAuthentication(__import__("django.contrib.auth.middleware", fromlist=["x"]).AuthenticationMiddleware):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    ("identity", "value", "word"),
    [
        ("W101", {"RULES": [RULE]}, "refund"),
        ("W101", {"RULES": [RULE], "MODE": "enforce", "FORCE_SHADOW": True}, "every action"),
        ("W102", {"RULES": [RULE], "MODE": "enforce", "ON_UNAVAILABLE": "fail_open"}, "every action"),
        ("W102", {"MODE": "enforce", "ACTIONS": {"refund": {"on_unavailable": "fail_open"}}}, "refund"),
        ("W103", {"RULES": [RULE], "BASE_URL": "http://supervisor.example"}, "http://supervisor.example"),
    ],
)
def test_a_deployment_is_warned_of_what_only_trials_need(identity: str, value: Any, word: str) -> None:
    assert identity not in told(value)
    assert word in told(value, deploy=True)[identity]


def test_debug_pages_beside_enforced_actions_are_warned_of() -> None:
    value = {"RULES": [RULE], "MODE": "enforce"}
    assert "W104" in told(value, deploy=True, DEBUG=True)
    assert told(value, deploy=True) == {}


def test_a_guard_that_the_urlconf_goes_around_is_told() -> None:
    guarded = supervised_view("refund")(lost)
    text = told({}, ROOT_URLCONF=Around)["W004"]
    assert "test_django_checks.py" in text
    assert "lost" in text
    del guarded


def test_a_function_that_takes_one_method_needs_no_more(tmp_path: Path) -> None:
    assert told({"RULES": [{"route": "POST /only", "action": "refund"}]}, ROOT_URLCONF=Only) == {}


def test_the_audit_lists_what_is_guarded_and_what_is_not(tmp_path: Path) -> None:
    with guarded(tmp_path, "shadow", RULES=[], root_urlconf=ODD):
        templates = [route.template for route in list_routes()]
        assert "/orders/<int:order_id>/refund" in templates
        coverage = audit(rules=RouteRules([RouteRule("shop:refund", "refund")]))
        assert [one.route.names[:2] for one in coverage.covered] == [("shop:refund", "orders:refund")]
        assert len(coverage.unguarded) == len(templates) - 1


def test_a_check_touches_neither_network_nor_store(tmp_path: Path) -> None:
    code = (
        "import socket, ssl, sys; socket.socket = None\n"
        "from django.conf import settings; from django.core.management import call_command\n"
        "settings.configure(INSTALLED_APPS=['supervisor_guards_django'], SUPERVISOR_GUARDS={'MODE': 'shadow'})\n"
        "import django; django.setup(); django.apps.apps.get_app_config('supervisor_guards').ready()\n"
        "call_command('check'); call_command('makemigrations', check=True)\n"
        "print([name for name in ('sqlalchemy', 'httpx', 'starlette', 'rest_framework') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_settings_of_the_project_pass_their_own_checks(tmp_path: Path) -> None:
    with override_settings(SUPERVISOR_GUARDS=guards(tmp_path, "enforce")):
        found = [one.id for one in run_checks(tags=["supervisor_guards"])]
        assert conf.current().problems == ()
        assert settings.SUPERVISOR_GUARDS["MODE"] == "enforce"
    assert set(found) <= {"supervisor_guards.W005"}
