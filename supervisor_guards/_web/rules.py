"""`RouteRule`: which route is which action, and what of the request its payload is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from supervisor_guards._model import MODES, ON_REVIEW
from supervisor_guards._settings import suggestion
from supervisor_guards._web import writing
from supervisor_guards._web.bodies import DEFAULT_MAX_BODY_BYTES
from supervisor_guards._web.facts import RequestFacts
from supervisor_guards._web.fields import MISSING, Reference, read
from supervisor_guards._web.writing import Path, SampleKey
from supervisor_guards.errors import ConfigurationError

BODY_MODES = ("auto", "none", "metadata", "parsed")
KEYS = (
    "route", "action", "payload", "methods", "mode", "on_review", "body", "max_body_bytes", "sample_key",
    "include", "exclude",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, init=False, eq=False)
class RouteRule:
    """One route, one action type.

    `route` is `METHOD /template`, `/template` for every method, or the name a framework gives the route (URL
    name, endpoint, route name), or the endpoint itself, a function or class; a template is written as the
    application declares it. `payload` lists field references, or is a callable that gets the framework's own
    request; without it the payload is namespaced. `methods` replaces the method in `route`; GET covers HEAD.
    `mode` and `on_review` stand before the action's settings. `body` says what of the body may be looked at:
    `auto` (what the payload needs), `none`, `metadata`, `parsed`; at most `max_body_bytes` of it. `sample_key`
    is `(action type, payload) -> key` or a field reference. `include` and `exclude` narrow a namespaced payload
    to, or by, dotted fields.

    Raises `ConfigurationError` with every fault.
    """

    route: str | Callable[..., Any]
    action: str
    payload: Sequence[str] | Callable[[Any], Any] | None
    mode: str | None
    on_review: str | None
    body: str
    max_body_bytes: int
    template: str | None
    """The `/template`; None where the rule goes by name or endpoint."""
    name: str | None
    """The route's or endpoint's name, where the rule goes by that."""
    endpoint: Callable[..., Any] | None
    """The endpoint, where the rule names it by the object."""
    method_set: frozenset[str] | None
    """The methods, upper-case, HEAD beside GET; None for every method."""
    references: tuple[Reference, ...] | None
    """The parsed field references; None where the payload is a callable, or namespaced."""
    payload_call: Callable[[Any], Any] | None
    sampling: SampleKey | Reference | None
    include: tuple[Path, ...]
    exclude: tuple[Path, ...]

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
        sample_key: SampleKey | str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        problems: list[str] = []
        method = template = name = None
        if not callable(route):
            method, template, name = writing.place(route, problems)
        if method is not None and methods is not None:
            problems.append(f"route={route!r} has a method and methods={methods!r} is given; give one")
        if not isinstance(action, str) or not action.strip():
            problems.append(f"action={action!r}: name the action type, for example 'refund'")
        writing.choice("body", body, BODY_MODES, problems)
        for setting, value, choices in (("mode", mode, MODES), ("on_review", on_review, ON_REVIEW)):
            if value is not None:
                writing.choice(setting, value, choices, problems)
        cap = DEFAULT_MAX_BODY_BYTES if max_body_bytes is None else max_body_bytes
        if not isinstance(cap, int) or isinstance(cap, bool) or cap < 1:
            problems.append(f"max_body_bytes={cap!r}: give a whole number of at least 1, in bytes")
        listed = payload is not None and not callable(payload)
        values: dict[str, Any] = {
            "route": route,
            "action": action,
            "payload": payload,
            "mode": mode,
            "on_review": on_review,
            "body": body,
            "max_body_bytes": cap,
            "template": template,
            "name": name,
            "endpoint": route if callable(route) else None,
            "method_set": writing.methods(method or methods, problems),
            "references": writing.references(payload, body, problems) if listed else None,
            "payload_call": payload if callable(payload) else None,
            "sampling": writing.sampling(sample_key, problems),
            "include": writing.narrowing("include", include, payload, problems),
            "exclude": writing.narrowing("exclude", exclude, payload, problems),
        }
        if problems:
            raise ConfigurationError(f"rule {route!r} ({action!r}): {problem}" for problem in problems)
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @classmethod
    def from_mapping(cls, written: Mapping[str, Any]) -> RouteRule:
        """A rule as settings write it: the parameters' names as keys."""
        if not isinstance(written, Mapping):
            raise ConfigurationError(
                f"rule {written!r}: give a mapping such as {{'route': 'POST /refunds', 'action': 'refund'}}"
            )
        known = {key: value for key, value in written.items() if key in KEYS}
        route, action = known.pop("route", None), known.pop("action", None)
        problems = [f"unknown key {key!r}{suggestion(str(key), KEYS)}" for key in written if key not in KEYS]
        problems += [f"{key!r} is missing" for key in ("route", "action") if key not in written]
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

    def sample_key(self, facts: RequestFacts) -> SampleKey | None:
        """What the engine's sampling asks for a key, given one request; None where the rule doesn't say."""
        reference = self.sampling
        if not isinstance(reference, Reference):
            return reference

        def key(action_type: str, payload: Any) -> str:
            value = read(reference, facts)
            if value is MISSING or value is None:
                raise LookupError(reference.text)
            return str(value)

        return key


def place_rule(action: str, **settings: Any) -> RouteRule:
    """A rule that belongs to a place in the code instead of a route. Raises `ConfigurationError`."""
    try:
        return RouteRule(f"guard:{action}", action, **settings)
    except ConfigurationError as error:
        raise ConfigurationError(problem.partition(": ")[2] or problem for problem in error.problems) from None
