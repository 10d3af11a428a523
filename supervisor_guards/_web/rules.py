"""`RouteRule`: which route is which action, and what of the request its payload is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from supervisor_guards._model import MODES, ON_REVIEW
from supervisor_guards._settings import suggestion
from supervisor_guards._web.bodies import DEFAULT_MAX_BODY_BYTES
from supervisor_guards._web.facts import RequestFacts
from supervisor_guards._web.fields import MISSING, Reference, parse_reference, read
from supervisor_guards.errors import ConfigurationError

BODY_MODES = ("auto", "none", "metadata", "parsed")
KEYS = (
    "route", "action", "payload", "methods", "mode", "on_review", "body", "max_body_bytes", "sample_key",
    "include", "exclude",
)  # fmt: skip
_METHOD = re.compile(r"[A-Za-z]+(-[A-Za-z]+)*", re.ASCII)
_NARROWABLE = ("path", "query", "body", "files", "repeated")


class RouteRule:
    """One route, one action type.

    `route` is `METHOD /template`, `/template` for every method, or the name a framework gives the route (URL
    name, endpoint, route name), or the endpoint itself, a function or class; a template is written as the
    application declares it. `payload` lists field
    references, or is a callable that gets the framework's own request; without it the payload is namespaced.
    `methods` replaces the method in `route`; GET covers HEAD. `mode` and `on_review` stand before the action's
    settings. `body` says what of the body may be looked at: `auto` (what the payload needs), `none`,
    `metadata`, `parsed`; at most `max_body_bytes` of it. `sample_key` is `(action type, payload) -> key` or a
    field reference. `include` and `exclude` narrow a namespaced payload to, or by, dotted fields.

    Raises `ConfigurationError` with every fault.
    """

    def __init__(
        self,
        route: str | Callable[..., Any],
        action: str,
        *,
        payload: Sequence[str] | Callable[[Any], Any] | None = None,
        methods: Iterable[str] | None = None,
        mode: str | None = None,
        on_review: str | None = None,
        body: str = "auto",
        max_body_bytes: int | None = None,
        sample_key: Callable[[str, Any], str] | str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        self._problems: list[str] = []
        self.route = route
        self.action = action
        self.mode = mode
        self.on_review = on_review
        self.body = body
        self.max_body_bytes = DEFAULT_MAX_BODY_BYTES if max_body_bytes is None else max_body_bytes
        self.template: str | None = None
        """The `/template`; None where the rule goes by name."""
        self.name: str | None = None
        """The route's or endpoint's name; None where the rule goes by template."""
        self.endpoint: Callable[..., Any] | None = None
        """The endpoint, where the rule names it by the object."""
        self.method_set: frozenset[str] | None = None
        """The methods, upper-case, HEAD beside GET; None for every method."""
        self.payload_call: Callable[[Any], Any] | None = None
        self.references: tuple[Reference, ...] | None = None
        self._place(methods)
        self._choices(action, mode, on_review, body, max_body_bytes)
        self._payload(payload)
        self._sampling(sample_key)
        self.include = self._narrowing("include", include)
        self.exclude = self._narrowing("exclude", exclude)
        if self._problems:
            raise ConfigurationError(f"rule {route!r} ({action!r}): {problem}" for problem in self._problems)

    @classmethod
    def from_mapping(cls, written: Mapping[str, Any]) -> RouteRule:
        """A rule as settings write it: the parameters' names as keys."""
        if not isinstance(written, Mapping):
            raise ConfigurationError(
                f"rule {written!r}: give a mapping such as {{'route': 'POST /refunds', 'action': 'refund'}}"
            )
        problems = [f"unknown key {key!r}{suggestion(str(key), KEYS)}" for key in written if key not in KEYS]
        problems += [f"{key!r} is missing" for key in ("route", "action") if key not in written]
        known = {key: value for key, value in written.items() if key in KEYS}
        route, action = known.pop("route", None), known.pop("action", None)
        found = [f"rule {route!r} ({action!r}): {problem}" for problem in problems]
        if "route" in written and "action" in written:
            try:
                rule = cls(route, action, **known)
            except ConfigurationError as error:
                found += error.problems
            else:
                if not found:
                    return rule
        raise ConfigurationError(found)

    def __repr__(self) -> str:
        return f"RouteRule({self.route!r}, {self.action!r})"

    @property
    def reads_body(self) -> bool:
        """Whether an adapter has to have the body before the payload can be built."""
        if self.body in ("none", "metadata") or self.payload_call is not None:
            return self.body == "parsed"
        if self.references is None:
            return True
        return self.body == "parsed" or any(one.source in ("body", "form") for one in self.references)

    def covers(self, method: str) -> bool:
        """Whether the rule is meant for `method`, in any case."""
        return self.method_set is None or method.upper() in self.method_set

    def sample_key(self, facts: RequestFacts) -> Callable[[str, Any], str] | None:
        """What the engine's sampling asks for a key, given one request; None where the rule doesn't say."""
        own, reference = self._sample_call, self._sample_reference
        if reference is None:
            return own

        def key(action_type: str, payload: Any) -> str:
            value = read(reference, facts)
            if value is MISSING or value is None:
                raise LookupError(reference.text)
            return str(value)

        return key

    def _place(self, methods: Iterable[str] | None) -> None:
        if callable(self.route):
            self.endpoint = self.route
            self._methods(None if methods is None else [methods] if isinstance(methods, str) else list(methods))
            return
        if not isinstance(self.route, str) or not self.route.strip():
            self._problems.append(f"route={self.route!r}: write 'POST /refunds/{{order_id}}', or a route's name")
            return
        first, space, rest = self.route.strip().partition(" ")
        rest = rest.strip()
        if space and rest.startswith("/"):
            self.template = rest
        elif first.startswith("/"):
            self.template = self.route.strip()
        elif space:
            self._problems.append(f"route={self.route!r}: after a method comes a template that begins with '/'")
        else:
            self.name = first
        given = [first] if space and self.template == rest and not first.startswith("/") else None
        if given is not None and methods is not None:
            self._problems.append(f"route={self.route!r} has a method and methods={methods!r} is given; give one")
        elif methods is not None:
            given = [methods] if isinstance(methods, str) else list(methods)
        self._methods(given)

    def _methods(self, given: list[str] | None) -> None:
        if given is None:
            return
        if not given:
            self._problems.append("methods is empty: name some, or leave it out for every method")
        wrong = [one for one in given if not isinstance(one, str) or not _METHOD.fullmatch(one)]
        self._problems += [f"{one!r} is no HTTP method; write for example 'POST'" for one in wrong]
        named = {one.upper() for one in given if one not in wrong}
        self.method_set = frozenset(named | ({"HEAD"} if "GET" in named else set()))

    def _choices(self, action: Any, mode: Any, on_review: Any, body: Any, cap: Any) -> None:
        if not isinstance(action, str) or not action.strip():
            self._problems.append(f"action={action!r}: name the action type, for example 'refund'")
        for name, value, choices in (("mode", mode, MODES), ("on_review", on_review, ON_REVIEW)):
            if value is not None and value not in choices:
                near = suggestion(str(value), choices)
                self._problems.append(f"{name}={value!r}: choose one of {', '.join(choices)}{near}")
        if body not in BODY_MODES:
            near = suggestion(str(body), BODY_MODES)
            self._problems.append(f"body={body!r}: choose one of {', '.join(BODY_MODES)}{near}")
        if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
            self._problems.append(f"max_body_bytes={cap!r}: give a whole number of at least 1, in bytes")

    def _payload(self, payload: Any) -> None:
        self.payload = payload
        if payload is None:
            return
        if callable(payload):
            self.payload_call = payload
            return
        if isinstance(payload, str) or not isinstance(payload, Sequence) or not payload:
            self._problems.append(
                f"payload={payload!r}: list field references such as 'body.amount', or give a callable"
            )
            return
        found: dict[str, Reference] = {}
        for text in payload:
            try:
                reference = parse_reference(text)
            except ValueError as error:
                self._problems.append(f"payload: {error}")
                continue
            other = found.setdefault(reference.name, reference)
            if other is not reference:
                self._problems.append(
                    f"payload: {other.text!r} and {text!r} both land under {reference.name!r}; "
                    f"write 'another_name={text}'"
                )
            if reference.source in ("body", "form") and self.body in ("none", "metadata"):
                self._problems.append(f"payload: {text!r} needs the body, and body={self.body!r}")
        self.references = tuple(found.values())

    def _sampling(self, sample_key: Any) -> None:
        self._sample_call: Callable[[str, Any], str] | None = None
        self._sample_reference: Reference | None = None
        if isinstance(sample_key, str):
            try:
                self._sample_reference = parse_reference(sample_key)
            except ValueError as error:
                self._problems.append(f"sample_key: {error}")
        elif callable(sample_key):
            self._sample_call = cast("Callable[[str, Any], str]", sample_key)
            if inspect.iscoroutinefunction(sample_key):
                self._problems.append("sample_key is a coroutine function; give a plain one")
        elif sample_key is not None:
            self._problems.append(f"sample_key={sample_key!r}: give a callable, or a field reference such as 'user.id'")

    def _narrowing(self, name: str, fields: Any) -> tuple[tuple[str, ...], ...]:
        if isinstance(fields, str) or not isinstance(fields, Sequence):
            self._problems.append(f"{name}={fields!r}: list dotted fields such as 'body.amount'")
            return ()
        if fields and self.payload is not None:
            self._problems.append(f"{name} narrows a namespaced payload, and payload={self.payload!r} is given")
        paths = []
        for field in fields:
            path = tuple(str(field).split("."))
            if path[0] not in _NARROWABLE or not all(path):
                near = suggestion(path[0], _NARROWABLE)
                choices = ", ".join(_NARROWABLE)
                self._problems.append(f"{name}: {field!r} does not begin with one of {choices}{near}")
            paths.append(path)
        return tuple(paths)
