"""Which routes are guarded, which are not, and which guards can never take effect."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from supervisor_guards._config import GuardConfig
from supervisor_guards._decorators import GUARDED
from supervisor_guards._web.endpoints import layers, location_of
from supervisor_guards._web.routes import RouteInfo, RouteRules
from supervisor_guards._web.rules import RouteRule
from supervisor_guards.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])
_EXEMPT = "__supervisor_guards_exempt__"
_VERBS = ("get", "head", "post", "put", "patch", "delete", "options")


class Wrapper(msgspec.Struct, frozen=True, weakref=True):
    """A guarded wrapper that an adapter's decorator made: its action, and where its function is written."""

    action: str
    name: str
    location: str
    mode: str | None = None
    """The mode that the guard sets for itself."""


class Covered(msgspec.Struct, frozen=True):
    """A route and the actions that guard it, by rule or by its own endpoint."""

    route: RouteInfo
    actions: tuple[str, ...]


class Coverage(msgspec.Struct, frozen=True):
    """What `audit` found. `problems` are faults; `unguarded` is for people to judge, an error only if strict."""

    covered: tuple[Covered, ...]
    unguarded: tuple[RouteInfo, ...]
    exempt: tuple[RouteInfo, ...]
    rules_without_route: tuple[RouteRule, ...]
    ineffective: tuple[Wrapper, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each rule that no route is meant by, and each guard that can't take effect."""
        return (
            *(
                f"rule {rule.route!r} ({rule.action!r}) matches no route: write the template as the application "
                "declares it, or the route's name"
                for rule in self.rules_without_route
            ),
            *(
                f"{one.location}: the guard of {one.name} ({one.action!r}) is no endpoint, so it never runs: put it "
                "below the line that registers the route"
                for one in self.ineffective
            ),
        )

    def exit_code(self, *, strict: bool = False) -> int:
        """0 where all is well, else 1; with `strict`, unguarded routes count too."""
        return int(bool(self.problems) or (strict and bool(self.unguarded)))


class Inspection(msgspec.Struct, frozen=True):
    """What an adapter tells `supervisor-guards routes` of an application: its routes, and the rules laid over them.

    `config` is that of the guard the application names; None where it uses the default one.
    """

    routes: tuple[RouteInfo, ...]
    rules: RouteRules
    config: GuardConfig | None = None


def audit(routes: Iterable[RouteInfo], rules: RouteRules, wrappers: Iterable[Any] | None = None) -> Coverage:
    """Lay `rules` over the `routes` of an application.

    A route that only answers safe methods needs no guard; an opaque one does. `wrappers` are the guarded
    wrappers to look for, by default all that adapters registered in this process: one is ineffective where a route
    has the function inside it for its endpoint. Those of other applications are none of ours.
    """
    listed = tuple(routes)
    covered, unguarded, exempt = [], [], []
    for route in listed:
        by_rule = [rule.action for rule in rules.of(route)]
        actions = tuple(dict.fromkeys([*by_rule, *route.actions, *plain_actions_of(route.endpoint)]))
        if actions:
            covered.append(Covered(route, actions))
        elif route.exempt_reason is not None:
            exempt.append(route)
        elif route.unsafe or route.opaque:
            unguarded.append(route)
    reachable = {id(one) for route in listed for one in layers(route.endpoint)}
    known = registered() if wrappers is None else tuple(wrappers)
    lost = tuple(_known[one] for one in known if one in _known and _is_bypassed(one, reachable))
    return Coverage(tuple(covered), tuple(unguarded), tuple(exempt), rules.unmatched(listed), lost)


_known: weakref.WeakKeyDictionary[Any, Wrapper] = weakref.WeakKeyDictionary()


def register(wrapper: F, action: str, mode: str | None = None) -> F:
    """For adapters' decorators: note that `wrapper` guards an endpoint. It is kept weakly. Returns `wrapper`.

    `mode` is the one that the decorator was given.
    """
    name = getattr(wrapper, "__qualname__", repr(type(wrapper)))
    _known[wrapper] = Wrapper(action, name, location_of(wrapper), mode)
    return wrapper


def registered() -> tuple[Any, ...]:
    """The guarded wrappers that are still alive."""
    return tuple(_known)


def actions_of(endpoint: Any, *, observed: bool = True) -> tuple[str, ...]:
    """The actions that `endpoint` guards by itself, seen through decorators that keep `__wrapped__`.

    Without `observed`, not those of guards that are put in shadow where they stand.
    """
    found = [_known[one] for one in layers(endpoint) if _is_known(one)]
    return tuple(dict.fromkeys(one.action for one in found if observed or one.mode != "shadow"))


def modes_of(endpoint: Any) -> dict[str, str]:
    """The modes that guards on `endpoint` set themselves, by action."""
    found = [_known[one] for one in layers(endpoint) if _is_known(one)]
    return {one.action: one.mode for one in found if one.mode is not None}


def plain_actions_of(endpoint: Any) -> tuple[str, ...]:
    """The actions that `supervised` and `supervised_async` on `endpoint` guard, or on a class's method for a verb."""
    handlers = [getattr(endpoint, verb, None) for verb in _VERBS] if isinstance(endpoint, type) else []
    found = [getattr(one, GUARDED, None) for each in (endpoint, *handlers) for one in layers(each)]
    return tuple(dict.fromkeys(action for action in found if isinstance(action, str)))


def supervised_exempt(*, reason: str) -> Callable[[F], F]:
    """Mark an endpoint that needs no guard, and say why: it is listed with its reason, not as a gap."""
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigurationError(f"supervised_exempt(reason={reason!r}): say in words why no guard is needed")

    def mark(endpoint: F) -> F:
        setattr(endpoint, _EXEMPT, reason)
        return endpoint

    return mark


def exempt_reason(endpoint: Any) -> str | None:
    """Why `endpoint` needs no guard; None where nobody said so. A class doesn't inherit it: it may do more."""
    for one in layers(endpoint):
        reason = vars(one).get(_EXEMPT) if isinstance(one, type) else getattr(one, _EXEMPT, None)
        if isinstance(reason, str):
            return reason
    return None


def _is_bypassed(wrapper: Any, reachable: set[int]) -> bool:
    """Whether requests reach what `wrapper` wraps, and not `wrapper`."""
    return id(wrapper) not in reachable and any(id(one) in reachable for one in layers(wrapper))


def _is_known(one: Any) -> bool:
    try:
        return one in _known
    except TypeError:  # not hashable, or not weakly referable: never a wrapper of ours
        return False
