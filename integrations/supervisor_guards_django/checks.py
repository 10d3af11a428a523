"""System checks. The ids are stable; each message names the value, and its hint says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from supervisor_guards.web import OWN_KEYS, SETTING, UNKNOWN_KEY, RouteInfo, RouteRule
from supervisor_guards_django import conf, database_checks
from supervisor_guards_django.messages import error as _error
from supervisor_guards_django.messages import parted as _parted
from supervisor_guards_django.messages import sentence as _sentence
from supervisor_guards_django.messages import warning as _warning
from supervisor_guards_django.routes import audit, list_routes

_OURS = "supervisor_guards_django.middleware.SupervisorMiddleware"
_BEFORE_US = (
    ("W002", "django.contrib.auth.middleware.AuthenticationMiddleware", "it doesn't know who sends a request"),
    ("W003", "django.middleware.csrf.CsrfViewMiddleware", "it judges forged requests, and people review them"),
)


def register() -> None:
    """Register the checks with Django; once is enough, more do no harm."""
    checks.register(check_settings, "supervisor_guards")
    checks.register(check_middleware, "supervisor_guards")
    checks.register(check_routes, "supervisor_guards", checks.Tags.urls)
    checks.register(database_checks.check_alias, "supervisor_guards")
    checks.register(database_checks.check_tables, "supervisor_guards", checks.Tags.database)
    checks.register(check_deployment, "supervisor_guards", deploy=True)


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E001 to E006: what is wrong with the dict itself."""
    written = getattr(settings, SETTING, None)
    if written is not None and not isinstance(written, dict):
        return [_error("E001", *_parted(conf.current().own_problems[0]))]
    found = conf.current()
    messages: list[checks.CheckMessage] = []
    service = found.config.service_problems() if found.config.enforces else ()
    for problem in (*found.config.problems(), *service):
        if problem.startswith(UNKNOWN_KEY):
            text, _, near = problem.partition("; ")
            hint = near or f"The adapter's own keys are {', '.join(OWN_KEYS)}; the others are GuardConfig's fields"
            messages.append(_error("E002", f"{SETTING}: {text}", _sentence(hint)))
        else:
            messages.append(_error("E003", *_parted(f"{SETTING}: {problem}")))
    messages += [_error("E003", *_parted(f"{SETTING}: {problem}")) for problem in found.own_problems]
    messages += [_error("E004", *_parted(f"{SETTING}['RULES']: {problem}")) for problem in found.rule_problems]
    if found.resolver_problem:
        messages.append(_error("E005", *_parted(f"{SETTING}: {found.resolver_problem}")))
    for rule in found.rules:
        if rule.on_review == "block":
            messages.append(
                _error(
                    "E006",
                    f"{_named(rule)} waits for a reviewer: a worker that waits serves nobody else.",
                    "Remove on_review='block'; the client repeats its request once the review is approved.",
                )
            )
    return messages


def check_middleware(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E008, W001 to W003: the middleware is there once, behind authentication and CSRF."""
    listed = list(settings.MIDDLEWARE)
    places = [index for index, path in enumerate(listed) if _is(path, _OURS)]
    if not places:
        if not len(conf.current().rules):
            return []
        text = f"{SETTING} has rules, and {_OURS} is not in MIDDLEWARE: nothing asks."
        return [_warning("W001", text, "Add it as the last entry of MIDDLEWARE.")]
    messages: list[checks.CheckMessage] = []
    if len(places) > 1:
        text = f"{_OURS} is in MIDDLEWARE {len(places)} times."
        messages.append(_error("E008", text, "Keep the last one."))
    for identity, other, consequence in _BEFORE_US:
        if any(_is(path, other) for path in listed[places[0] + 1 :]):
            text = f"{_OURS} comes before {other} in MIDDLEWARE: {consequence}."
            messages.append(_warning(identity, text, f"Move it below {other}."))
    return messages


def check_routes(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E007, W004, W005: every rule means a route, and every guard of a view can take effect."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    routes = list_routes()
    coverage = audit()
    messages: list[checks.CheckMessage] = []
    for rule in coverage.rules_without_route:
        text = f"{_named(rule)} matches no route: nothing will ever evaluate it."
        messages.append(_error("E007", text, _nearest(rule, routes)))
    for one in coverage.ineffective:
        text = (
            f"{one.location}: the guard of {one.name} ({one.action!r}) never runs: a route has the function inside it."
        )
        messages.append(_warning("W004", text, "Put the decorated view into the URLconf, or remove the decorator."))
    messages += _open_methods(conf.current().rules, routes)
    return messages


def check_deployment(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W101 to W104: what is right while a project tries the guards, and rarely in production."""
    config = conf.current().config
    modes = {action: own.get("mode", config.enforcement_mode) for action, own in _actions(config).items()}
    for rule in conf.current().rules:
        modes[rule.action] = rule.mode or modes.get(rule.action, config.enforcement_mode)
    shadowed = sorted(action for action, mode in modes.items() if mode == "shadow")
    messages: list[checks.CheckMessage] = []
    if config.force_shadow or not modes or shadowed:
        what = ", ".join(shadowed) if shadowed and not config.force_shadow else "every action"
        text = f"In shadow, nothing is ever refused: {what}."
        messages.append(_warning("W101", text, "Set 'MODE': 'enforce', or the mode of single ACTIONS, when ready."))
    opened = sorted(action for action, own in _actions(config).items() if own.get("on_unavailable") == "fail_open")
    if config.on_unavailable == "fail_open" or opened:
        what = "every action" if config.on_unavailable == "fail_open" else ", ".join(opened)
        text = f"When the supervisor can't be asked, it runs unchecked: {what}."
        messages.append(_warning("W102", text, "Set ON_UNAVAILABLE, or the action's, to 'fail_closed'."))
    if (config.base_url or "").lower().startswith("http://"):
        text = f"BASE_URL={config.base_url!r} sends payloads in the clear."
        messages.append(_warning("W103", text, "Use https://."))
    if settings.DEBUG and config.enforces:
        text = "DEBUG is on: its error pages show what a guarded view was given."
        messages.append(_warning("W104", text, "Set DEBUG = False."))
    return messages


def _actions(config: Any) -> dict[str, Any]:
    actions = config.actions if isinstance(config.actions, dict) else {}
    return {name: own for name, own in actions.items() if isinstance(own, dict)}


def _open_methods(rules: Iterable[RouteRule], routes: Sequence[RouteInfo]) -> Iterator[checks.CheckMessage]:
    """A rule for one method of a function view, which may do the same for every other."""
    ruled = list(rules)
    for route in routes:
        mine = [rule for rule in ruled if _means(rule, route)]
        if route.methods is not None or not mine or any(rule.method_set is None for rule in mine):
            continue
        if _restricted(route.endpoint):
            continue
        text = f"{_named(mine[0])}: its view is a function, and may answer other methods unguarded."
        yield _warning(
            "W005",
            text,
            "Decorate the view with require_http_methods (require_POST, require_GET), or leave the method out of "
            "the rule.",
        )


def _means(rule: RouteRule, route: RouteInfo) -> bool:
    return rule.template == route.template if rule.template is not None else rule.name in route.names


def _restricted(view: Any) -> bool:
    """Whether Django's require_http_methods is around `view`: its wrapper keeps the list in a closure."""
    while view is not None:
        code = getattr(view, "__code__", None)
        if code is not None and "request_method_list" in code.co_freevars:
            return True
        view = getattr(view, "__wrapped__", None)
    return False


def _nearest(rule: RouteRule, routes: Sequence[RouteInfo]) -> str:
    if rule.template is not None:
        known, wanted = [route.template or "" for route in routes], rule.template
    else:
        known, wanted = [name for route in routes for name in route.names], rule.name or ""
    close = difflib.get_close_matches(wanted, known, n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return meant + "Write the template as the URLconf does, after a slash, or the URL name with its namespace."


def _is(path: Any, wanted: str) -> bool:
    if path == wanted:
        return True
    try:
        found, base = import_string(path), import_string(wanted)
    except (ImportError, TypeError):
        return False
    return isinstance(found, type) and issubclass(found, base)


def _named(rule: RouteRule) -> str:
    return f"{SETTING}['RULES']: rule {rule.route!r} ({rule.action!r})"
