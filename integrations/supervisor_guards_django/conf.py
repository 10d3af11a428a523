"""The dict `SUPERVISOR_GUARDS` of a project's settings, read on first use and again whenever tests override it."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

import anyio.to_thread
from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from supervisor_guards import Guard, GuardConfig, get_guard
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import RouteRule, RouteRules, User, provide_guard
from supervisor_guards_django.signals import announce

logger = logging.getLogger("supervisor_guards")

SETTING = "SUPERVISOR_GUARDS"
UserResolver = Callable[[Any], Any]
Unresolved = Literal["deny", "warn"]
OWN_KEYS = ("RULES", "USER_RESOLVER", "UNRESOLVED", "MAX_BODY_BYTES", "REVIEW_URL")
"""Keys of the adapter itself; the others are the fields of `GuardConfig`."""
UNKNOWN_KEY = "unknown setting "
"""How the engine's word on a key that nobody knows begins."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the dict says. `problems` has every fault: of keys, values, rules and dotted paths.

    `rules` are those that can be read; `rules_refuse` says that a rule, readable or not, asks for more than shadow.

    `user_resolver` gets the request and returns a `supervisor_guards.web.User`, or None for anonymous; it may be
    a coroutine function under ASGI. None means Django's own authentication. `max_body_bytes` is for rules in the
    settings that don't say; None is the engine's default. `review_url` is where the project shows where a review
    stands.
    """

    config: GuardConfig
    rules: RouteRules
    rule_problems: tuple[str, ...] = ()
    rules_refuse: bool = False
    resolver_problem: str | None = None
    own_problems: tuple[str, ...] = ()
    user_resolver: UserResolver | None = None
    unresolved: Unresolved = "deny"
    review_url: str | None = None

    @property
    def may_refuse(self) -> bool:
        """Whether any action or rule is in `sample` or `enforce`."""
        return self.config.enforces or (self.rules_refuse and not self.config.force_shadow)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence each; empty where these settings can work."""
        resolver = (self.resolver_problem,) if self.resolver_problem else ()
        return (*self.config.problems(), *self.own_problems, *resolver, *self.rule_problems)


_current: Settings | None = None


def current() -> Settings:
    """The settings in use."""
    global _current
    found = _current
    if found is None:
        found = _current = read(getattr(settings, SETTING, None))
    return found


def read(written: Any) -> Settings:
    """What `written`, the dict, says. Raises nothing."""
    if written is None:
        written = {}
    if not isinstance(written, Mapping):
        wrong = f"{SETTING}={written!r}: give a dict such as {{'MODE': 'shadow', 'RULES': [...]}}"
        return Settings(GuardConfig.load(), RouteRules(), own_problems=(wrong,))
    config = _config(written)
    problems: list[str] = []
    cap = _whole_number(written, "MAX_BODY_BYTES", problems)
    unresolved = written.get("UNRESOLVED", "deny")
    if unresolved not in ("deny", "warn"):
        problems.append(f"UNRESOLVED={unresolved!r}: choose one of deny, warn")
    review_url = written.get("REVIEW_URL")
    if review_url is not None and not isinstance(review_url, str):
        problems.append(f"REVIEW_URL={review_url!r}: give a path such as '/reviews'")
        review_url = None
    rules, rule_problems, refuse = _rules(written.get("RULES", ()), cap)
    resolver, resolver_problem = _resolver(written.get("USER_RESOLVER"))
    return Settings(
        config,
        rules,
        rule_problems,
        refuse,
        resolver_problem,
        tuple(problems),
        resolver,
        "warn" if unresolved == "warn" else "deny",
        review_url.rstrip("/") if review_url is not None else None,
    )


def guard() -> Guard:
    """The guard of these settings, or the one that `configure` made.

    Raises `ConfigurationError` where it can't be made and more than shadow is asked for.
    """
    provide()
    return get_guard()


async def aguard() -> Guard:
    """`guard` for async callers: making it opens policy and store, once, off the event loop."""
    global _warm
    if not _warm:
        await anyio.to_thread.run_sync(guard)
        _warm = True
    return guard()


def provide() -> None:
    """Let the default guard come from these settings: the plain decorators then use them too."""
    global _providing
    if not _providing:
        _providing = True
        provide_guard(_make)


def withdraw() -> None:
    """Let the default guard come from the environment again: for tests of several frameworks in one process."""
    global _providing, _warm
    _providing = _warm = False
    provide_guard(None)


_providing = False
_warm = False


def _make() -> Guard:
    config = current().config
    problems = config.problems()
    if problems and config.enforcement_mode == "shadow" and not config.enforces:
        logger.error("running in shadow on defaults; mend %s: %s", SETTING, "; ".join(problems))
        config = GuardConfig(
            app_id=config.app_id, policy=config.policy, database_url=config.database_url, state_dir=config.state_dir
        )
    else:
        config.warn()
    made = Guard(config)
    made.add_hook(announce)
    return made


def _changed(*, setting: str, **kwargs: Any) -> None:
    global _current, _warm
    if setting == SETTING:
        _current, _warm = None, False
        if _providing:
            provide_guard(_make)


setting_changed.connect(_changed, dispatch_uid="supervisor_guards_django.conf")


def _config(written: Mapping[str, Any]) -> GuardConfig:
    """The engine's part, where unknown keys are compared with the adapter's own ones too."""
    config = GuardConfig.from_mapping({key: value for key, value in written.items() if key not in OWN_KEYS})
    faults = tuple(fault + _own_suggestion(fault) for fault in config.faults)
    config = dataclasses.replace(config, faults=faults)
    database = written.get("DATABASE")
    if isinstance(database, str) and "://" not in database:
        fault = f"DATABASE={database!r}: give a URL such as 'sqlite:////srv/shop/supervisor.db'"
        config = dataclasses.replace(config, database_url=None, faults=(*config.faults, fault))
    return config


def _own_suggestion(fault: str) -> str:
    if not fault.startswith(UNKNOWN_KEY) or "did you mean" in fault:
        return ""
    close = difflib.get_close_matches(fault.removeprefix(UNKNOWN_KEY).strip("'"), OWN_KEYS, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _whole_number(written: Mapping[str, Any], key: str, problems: list[str]) -> int | None:
    value = written.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    problems.append(f"{key}={value!r}: give a whole number of at least 1, in bytes")
    return None


def _rules(written: Any, cap: int | None) -> tuple[RouteRules, tuple[str, ...], bool]:
    """The rules that can be read, what is wrong with the others, and whether any asks for more than shadow."""
    if isinstance(written, (str, bytes, Mapping)) or not hasattr(written, "__iter__"):
        return RouteRules(), (f"RULES={written!r}: give a list of rules",), False
    listed = [_capped(rule, cap) for rule in written]
    refuse = any(_mode(rule) not in (None, "shadow") for rule in listed)
    try:
        return RouteRules(listed), (), refuse
    except ConfigurationError as error:
        problems = error.problems
    try:
        return RouteRules([rule for rule in listed if _readable(rule)]), problems, refuse
    except ConfigurationError:  # rules that contradict each other
        return RouteRules(), problems, refuse


def _mode(rule: Any) -> Any:
    return rule.get("mode") if isinstance(rule, Mapping) else getattr(rule, "mode", None)


def _readable(rule: RouteRule | Mapping[str, Any]) -> bool:
    try:
        RouteRules([rule])
    except ConfigurationError:
        return False
    return True


def _capped(rule: Any, cap: int | None) -> RouteRule | Mapping[str, Any]:
    if cap is None or not isinstance(rule, Mapping) or "max_body_bytes" in rule:
        return rule
    return {**rule, "max_body_bytes": cap}


def _resolver(written: Any) -> tuple[UserResolver | None, str | None]:
    if written is None:
        return None, None
    found = written
    if isinstance(written, str):
        try:
            found = import_string(written)
        except ImportError as error:
            return (
                _no_resolver,
                f"USER_RESOLVER={written!r} can't be imported ({error}): name a callable by its dotted path",
            )
    if not callable(found):
        return _no_resolver, f"USER_RESOLVER={written!r}: give a callable, or the dotted path of one"
    return found, None


def _no_resolver(request: Any) -> User | None:
    raise ConfigurationError(current().resolver_problem or "USER_RESOLVER can't be used")
