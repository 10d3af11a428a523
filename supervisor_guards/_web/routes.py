"""All rules of an application, and the routes they are laid over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from supervisor_guards._web.endpoints import layers
from supervisor_guards._web.rules import RouteRule
from supervisor_guards.errors import ConfigurationError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing, as RFC 9110 means it."""


class RouteInfo(msgspec.Struct, frozen=True):
    """A route as the application declares it.

    `methods` is None where it answers every method. `names` are all names a rule may use for it. `endpoint_location`
    is where its endpoint is written, `file:line`. `actions` are those its endpoint guards by itself. `opaque` marks
    what can't be looked into: another application, a folder of files.
    """

    methods: frozenset[str] | None
    template: str | None
    names: tuple[str, ...] = ()
    endpoint_location: str = ""
    actions: tuple[str, ...] = ()
    exempt_reason: str | None = None
    opaque: bool = False
    endpoint: Any = None
    modes: Mapping[str, str] = {}
    """The modes that its own guards set, by action."""

    @property
    def unsafe(self) -> bool:
        """Whether it answers a method that may change something."""
        return self.methods is None or bool({method.upper() for method in self.methods} - SAFE_METHODS)

    def __str__(self) -> str:
        methods = ",".join(sorted(self.methods)) if self.methods is not None else "*"
        return f"{methods} {self.template or '/'.join(self.names) or '?'}"


class RouteRules:
    """Rules in their order. Raises `ConfigurationError` with every fault of every rule, repeated ones included.

    Mappings are taken as settings write rules.
    """

    def __init__(self, rules: Iterable[RouteRule | Mapping[str, Any]] = ()) -> None:
        problems: list[str] = []
        self.rules: tuple[RouteRule, ...] = tuple(_read(rules, problems))
        self._by_template: dict[str, list[RouteRule]] = {}
        self._by_name: dict[str, list[RouteRule]] = {}
        self._by_endpoint: list[RouteRule] = [rule for rule in self.rules if rule.endpoint is not None]
        for rule in self.rules:
            if rule.template is not None:
                self._by_template.setdefault(rule.template, []).append(rule)
            elif rule.name is not None:
                self._by_name.setdefault(rule.name, []).append(rule)
        problems += _repeated(self.rules)
        if problems:
            raise ConfigurationError(problems)
        self._order = {id(rule): index for index, rule in enumerate(self.rules)}
        every = any(rule.method_set is None for rule in self.rules)
        self._methods = None if every else frozenset().union(*(rule.method_set or () for rule in self.rules))

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[RouteRule]:
        return iter(self.rules)

    def concern(self, method: str) -> bool:
        """Whether any rule is meant for `method`: where none is, there is no need to ask a router."""
        return self._methods is None or method.upper() in self._methods

    def for_route(
        self, method: str, template: str | None, names: Iterable[str] = (), endpoint: Any = None
    ) -> tuple[RouteRule, ...]:
        """The rules of the route that the framework chose, one for each action, in their order.

        `template` is as the application declares it, never a request's path; `endpoint` its function or class. An
        action that two rules name, one by template and one by name, is taken once, from the first.
        """
        found = list(self._by_template.get(template, ())) if template is not None else []
        for name in names:
            found += self._by_name.get(name, ())
        if self._by_endpoint:
            found += [rule for rule in self._by_endpoint if any(one is rule.endpoint for one in layers(endpoint))]
        by_action: dict[str, RouteRule] = {}
        for rule in sorted(found, key=lambda rule: self._order[id(rule)]) if len(found) > 1 else found:
            if rule.covers(method):
                by_action.setdefault(rule.action, rule)
        return tuple(by_action.values())

    def of(self, route: RouteInfo) -> tuple[RouteRule, ...]:
        """The rules that apply to some method of `route`."""
        found = [rule for rule in self.rules if _names(rule, route)]
        return tuple(rule for rule in found if _meet(rule.method_set, route.methods))

    def unmatched(self, routes: Iterable[RouteInfo]) -> tuple[RouteRule, ...]:
        """The rules that none of `routes` is meant by: nothing will ever evaluate them."""
        matched = {id(rule) for route in routes for rule in self.of(route)}
        return tuple(rule for rule in self.rules if id(rule) not in matched)


def _read(rules: Iterable[RouteRule | Mapping[str, Any]], problems: list[str]) -> Iterator[RouteRule]:
    for rule in rules:
        if isinstance(rule, RouteRule):
            yield rule
            continue
        try:
            yield RouteRule.from_mapping(rule)
        except ConfigurationError as error:
            problems += error.problems


def _repeated(rules: Iterable[RouteRule]) -> Iterator[str]:
    places: dict[tuple[Any, ...], list[RouteRule]] = {}
    for rule in rules:
        others = places.setdefault((rule.template, rule.name, id(rule.endpoint), rule.action), [])
        for other in others:
            if _meet(other.method_set, rule.method_set):
                yield (
                    f"rule {rule.route!r} ({rule.action!r}) repeats rule {other.route!r} for the same action; "
                    "remove one, or name another action"
                )
        others.append(rule)


def _names(rule: RouteRule, route: RouteInfo) -> bool:
    if rule.endpoint is not None:
        return any(one is rule.endpoint for one in layers(route.endpoint))
    return rule.template == route.template if rule.template is not None else rule.name in route.names


def _meet(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    return one is None or other is None or not one.isdisjoint(method.upper() for method in other)
