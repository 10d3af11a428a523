"""The dict `SUPERVISOR_GUARDS`, as Django's settings and Flask's config hold it."""

from __future__ import annotations

import dataclasses
import difflib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Literal

from supervisor_guards._config import GuardConfig
from supervisor_guards._problems import asks_for_more
from supervisor_guards._settings import parse
from supervisor_guards._web.facts import User
from supervisor_guards._web.routes import RouteRules
from supervisor_guards.errors import ConfigurationError

SETTING = "SUPERVISOR_GUARDS"
UserResolver = Callable[[Any], Any]
Unresolved = Literal["deny", "warn"]
OWN_KEYS = ("RULES", "USER_RESOLVER", "UNRESOLVED", "MAX_BODY_BYTES", "REVIEW_URL")
"""Keys of the adapters; the others are the fields of `GuardConfig`."""
UNKNOWN_KEY = "unknown setting "
"""How the engine's word on a key that nobody knows begins."""
_MEANT = "did you mean 'RULES'?"


@dataclasses.dataclass(frozen=True)
class WebSettings:
    """What the dict says. `problems` has every fault: of keys, values, rules and dotted paths.

    `user_resolver` gets the framework's request and returns a `supervisor_guards.web.User`, or None for anonymous;
    None means the framework's own authentication. `max_body_bytes` is for rules in the settings that don't say;
    None is the engine's default. `review_url` is where the application shows where a review stands. `own` are keys
    that one adapter has for itself.
    """

    config: GuardConfig
    rules: RouteRules
    rule_problems: tuple[str, ...] = ()
    resolver_problem: str | None = None
    own_problems: tuple[str, ...] = ()
    user_resolver: UserResolver | None = None
    unresolved: Unresolved = "deny"
    review_url: str | None = None
    own: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rules_enforce: bool = False
    """Whether a rule, readable or not, asks for more than shadow by itself."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence each; empty where these settings can work."""
        resolver = (self.resolver_problem,) if self.resolver_problem else ()
        return (*self.config.problems(), *self.own_problems, *resolver, *self.rule_problems)

    @property
    def rules_lost(self) -> tuple[str, ...]:
        """Faults by which any route may have lost its rule: rules that can't be read, under a misspelt key too."""
        return (*self.rule_problems, *(fault for fault in self.config.faults if fault.endswith(_MEANT)))

    @property
    def enforces(self) -> bool:
        """Whether anything is asked to be in `sample` or `enforce`."""
        return self.config.enforces or (self.rules_enforce and not self.config.force_shadow)


def read_settings(
    written: Any, environ: Mapping[str, str] | None = None, *, adapter_keys: tuple[str, ...] = ()
) -> WebSettings:
    """What `written`, the dict, says; `environ` stands behind it. Raises nothing.

    `adapter_keys` are those of one adapter alone. Texts are read as the environment's are where a setting is no text,
    as frameworks fill such dicts from the environment too.
    """
    if written is None:
        written = {}
    if not isinstance(written, Mapping):
        wrong = f"{SETTING}={written!r}: give a dict such as {{'MODE': 'shadow', 'RULES': [...]}}"
        return WebSettings(GuardConfig.load(environ), RouteRules(), own_problems=(wrong,))
    own_keys = (*OWN_KEYS, *adapter_keys)
    problems: list[str] = []
    config = _config(written, environ, own_keys, problems)
    cap = _whole_number(written, "MAX_BODY_BYTES", problems)
    unresolved = written.get("UNRESOLVED", "deny")
    if unresolved not in ("deny", "warn"):
        problems.append(f"UNRESOLVED={unresolved!r}: choose one of deny, warn")
    review_url = written.get("REVIEW_URL")
    if review_url is not None and not isinstance(review_url, str):
        problems.append(f"REVIEW_URL={review_url!r}: give a path such as '/reviews'")
        review_url = None
    listed = _listed(written.get("RULES", ()))
    rules, rule_problems = _rules(listed, cap)
    resolver, resolver_problem = _resolver(written.get("USER_RESOLVER"))
    return WebSettings(
        config,
        rules,
        rule_problems,
        resolver_problem,
        tuple(problems),
        resolver,
        "warn" if unresolved == "warn" else "deny",
        review_url.rstrip("/") if review_url is not None else None,
        {key: written[key] for key in adapter_keys if key in written},
        _rules_enforce(listed, rule_problems),
    )


def _config(
    written: Mapping[str, Any], environ: Mapping[str, str] | None, own_keys: tuple[str, ...], problems: list[str]
) -> GuardConfig:
    """The engine's part, where unknown keys are compared with the adapter's own ones too."""
    typed = {
        key: _typed(key, value, problems) if isinstance(value, str) else value
        for key, value in written.items()
        if key not in own_keys
    }
    config = GuardConfig.from_mapping(typed, environ)
    faults = tuple(fault + _own_suggestion(fault, own_keys) for fault in config.faults)
    config = dataclasses.replace(config, faults=faults)
    database = written.get("DATABASE")
    if isinstance(database, str) and "://" not in database and database != "memory:":
        fault = f"DATABASE={database!r}: give a URL such as 'sqlite:////srv/shop/supervisor.db'"
        config = dataclasses.replace(config, database_url=None, faults=(*config.faults, fault))
    return config


def _typed(key: str, text: str, problems: list[str]) -> Any:
    for field in dataclasses.fields(GuardConfig):
        kind = field.metadata.get("kind", "text")
        if key == field.name.upper() and kind != "text":
            value, problem = parse(text, kind, key)
            problems += [problem] if problem else []
            return value
    return text


def _own_suggestion(fault: str, own_keys: tuple[str, ...]) -> str:
    if not fault.startswith(UNKNOWN_KEY) or "did you mean" in fault:
        return ""
    close = difflib.get_close_matches(fault.removeprefix(UNKNOWN_KEY).strip("'"), own_keys, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _whole_number(written: Mapping[str, Any], key: str, problems: list[str]) -> int | None:
    value = written.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    problems.append(f"{key}={value!r}: give a whole number of at least 1, in bytes")
    return None


def _listed(written: Any) -> Any:
    """Rules that come one by one as a list, to be looked at twice; what is no rules as it is."""
    return written if isinstance(written, (str, bytes, Mapping)) or not hasattr(written, "__iter__") else list(written)


def _rules_enforce(listed: Any, problems: tuple[str, ...]) -> bool:
    if problems and asks_for_more(listed):
        return True
    return isinstance(listed, list) and any(_mode_of(rule) not in (None, "shadow") for rule in listed)


def _mode_of(rule: Any) -> Any:
    return rule.get("mode") if isinstance(rule, Mapping) else getattr(rule, "mode", None)


def _rules(written: Any, cap: int | None) -> tuple[RouteRules, tuple[str, ...]]:
    if not isinstance(written, list):
        return RouteRules(), (f"RULES={written!r}: give a list of rules",)
    listed = [_capped(rule, cap) for rule in written]
    try:
        return RouteRules(listed), ()
    except ConfigurationError as error:
        problems = error.problems
    try:
        return RouteRules([rule for rule in listed if _readable(rule)]), problems
    except ConfigurationError:  # rules that contradict each other
        return RouteRules(), problems


def _readable(rule: Any) -> bool:
    try:
        RouteRules([rule])
    except ConfigurationError:
        return False
    return True


def _capped(rule: Any, cap: int | None) -> Any:
    if cap is None or not isinstance(rule, Mapping) or "max_body_bytes" in rule:
        return rule
    return {**rule, "max_body_bytes": cap}


def _resolver(written: Any) -> tuple[UserResolver | None, str | None]:
    if written is None:
        return None, None
    found = written
    if isinstance(written, str):
        try:
            found = pkgutil.resolve_name(written)
        except (ImportError, AttributeError, ValueError) as error:
            problem = f"USER_RESOLVER={written!r} can't be imported ({error}): name a callable by its dotted path"
            return _refusing(problem), problem
    if not callable(found):
        problem = f"USER_RESOLVER={written!r}: give a callable, or the dotted path of one"
        return _refusing(problem), problem
    return found, None


def _refusing(problem: str) -> UserResolver:
    """Stands for a resolver that can't be had: a request whose sender nobody can tell is not judged as anonymous."""

    def resolver(request: Any) -> User | None:
        raise ConfigurationError(problem)

    return resolver
