"""Every setting of a guard: one frozen value, made from keywords, the environment or a mapping."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from supervisor_guards import _problems
from supervisor_guards._model import Mode, OnReview, OnUnavailable
from supervisor_guards._problems import ACTION_KEYS, CHOICES, ENFORCING, asks_for_more, choices, is_number
from supervisor_guards._settings import from_environment, given, setting, suggestion
from supervisor_guards.errors import ConfigurationError

logger = logging.getLogger("supervisor_guards")


class Terms(msgspec.Struct, frozen=True):
    """What holds for one call site: the settings after precedence."""

    mode: Mode
    on_review: OnReview
    on_unavailable: OnUnavailable
    sample_percent: int
    review_timeout_seconds: float
    review_poll_interval_seconds: float
    audit: Literal["async", "sync"]

    @property
    def proceeds(self) -> bool:
        """Whether the action runs whatever a reviewer says."""
        return self.on_review in ("fail_open", "shadow")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """The settings of one `Guard`. `problems()` says what is wrong with them; `Guard` refuses to start then."""

    base_url: str | None = setting(None, "BASE_URL", "Where the supervisor service is; unset means embedded.")
    app_id: str = setting("", "APP_ID", "This application's id: at the service, in the sampling key and in every row.")
    shared_secret: str | None = dataclasses.field(
        default=None,
        repr=False,
        metadata={
            "env": "SUPERVISOR_SECRET",
            "doc": "This application's secret at the service: signs its tokens and keys its digests.",
            "unit": "",
            "kind": "text",
        },
    )
    scopes: tuple[str, ...] = setting((), "SCOPES", "Scopes asked of the service.", kind="list")
    reviewer_token: str | None = dataclasses.field(
        default=None,
        repr=False,
        metadata={
            "env": "SUPERVISOR_REVIEWER_TOKEN",
            "doc": "A reviewer's token at the service; without one its reviews can only be read from here.",
            "unit": "",
            "kind": "text",
        },
    )
    allow_http: bool = setting(
        False, "ALLOW_HTTP", "Speak plain HTTP to a service on another machine: payloads and tokens in the clear.",
        kind="flag",
    )  # fmt: skip
    ca_file: str | None = setting(
        None, "CA_FILE", "PEM file of the authorities that may vouch for the service; else those of certifi."
    )
    evaluate_timeout_seconds: float = setting(
        2.0, "EVALUATE_TIMEOUT_SECONDS", "How long one evaluation by the service may take, connecting and retries "
        "included.", unit="s", kind="number",
    )  # fmt: skip
    breaker_failures: int = setting(
        5, "BREAKER_FAILURES", "After this many failures in a row the service isn't asked for a while.",
        unit="failures", kind="integer",
    )  # fmt: skip
    breaker_seconds: float = setting(
        1.0, "BREAKER_SECONDS", "How long that is; then one call at a time asks again.", unit="s", kind="number"
    )
    max_connections: int = setting(
        32, "MAX_CONNECTIONS", "Connections to the service at once, in one process or event loop.",
        unit="connections", kind="integer",
    )  # fmt: skip
    enforcement_mode: Mode = setting("shadow", "ENFORCEMENT_MODE", "`shadow`, `sample` or `enforce`.")
    sample_percent: int = setting(
        10, "SAMPLE_PERCENT", "Share of keys that `sample` enforces.", unit="percent, 0 to 100", kind="integer"
    )
    actions: Mapping[str, Mapping[str, Any]] = setting(
        dict, None, "Per action type: `mode`, `on_review`, `on_unavailable`, `sample_percent`, "
        "`review_timeout_seconds`, `evaluate_timeout_seconds`."
    )  # fmt: skip
    default_on_review: OnReview | None = setting(
        None, "ON_REVIEW", "`block`, `fail_closed`, `fail_open` or `shadow`. Unset: `block`, and `fail_closed` "
        "inside a web request."
    )  # fmt: skip
    review_timeout_seconds: float = setting(
        60.0, "REVIEW_TIMEOUT_SECONDS", "How long `block` waits; a timeout counts as deny.", unit="s", kind="number"
    )
    review_poll_interval_seconds: float = setting(
        2.0, "REVIEW_POLL_INTERVAL_SECONDS", "How often `block` looks.", unit="s", kind="number"
    )
    review_expires_seconds: float = setting(
        86_400.0, "REVIEW_EXPIRES_SECONDS", "After this long a review can't be approved any more.",
        unit="s", kind="number",
    )  # fmt: skip
    review_window_seconds: float = setting(
        600.0, "REVIEW_WINDOW_SECONDS", "A repeated request joins the open review of the same content, subject and "
        "action for this long; 0 opens a new one each time.", unit="s", kind="number",
    )  # fmt: skip
    on_unavailable: OnUnavailable = setting(
        "fail_closed", "ON_UNAVAILABLE", "When no verdict can be had: `fail_closed` refuses, `fail_open` runs it."
    )
    policy: str | None = setting(None, "POLICY", "Policy file or folder; else `supervisor.yaml` beside the process.")
    unmatched: Literal["deny", "review", "allow"] = setting(
        "deny", "UNMATCHED", "The verdict for an action type that no policy covers: `deny`, `review`, `allow`."
    )
    database_url: str | None = setting(
        None, "DATABASE_URL", "SQLAlchemy URL of the decision store; else SQLite in `state_dir`.", shown=False
    )
    migrated_by: str | None = setting(
        None, "MIGRATED_BY", "The command that makes and upgrades the store's tables, where something else than the "
        "engine does; the engine then only checks them, and names it where they are missing."
    )  # fmt: skip
    state_dir: str = setting(".supervisor", "STATE_DIR", "Folder of the default store and the key file.")
    retention_days: float | None = setting(
        None, "RETENTION_DAYS", "Decisions and finished reviews older than this are deleted; unset keeps them.",
        unit="days", kind="number",
    )  # fmt: skip
    anchor: str | None = setting(
        None, "ANCHOR", "Where the evidence chain's head is written from time to time: a file's path, `log`, or "
        "the URL of a webhook."
    )  # fmt: skip
    anchor_interval_seconds: float = setting(
        60.0, "ANCHOR_INTERVAL_SECONDS", "How often, when there is something new.", unit="s", kind="number"
    )
    audit: Literal["async", "sync"] = setting(
        "async", "AUDIT", "Enforced allows are written in batches (`async`) or before the action (`sync`)."
    )
    max_payload_bytes: int = setting(
        65_536, "MAX_PAYLOAD_BYTES", "Larger payloads are truncated, with a marker.", unit="bytes", kind="integer"
    )
    queue_size: int = setting(
        10_000, "QUEUE_SIZE", "Decisions that may wait for the background thread.", unit="items", kind="integer"
    )
    queue_bytes: int = setting(
        67_108_864, "QUEUE_BYTES", "Payload bytes that may wait for it.", unit="bytes", kind="integer"
    )
    redact: tuple[str, ...] = setting(
        (), "REDACT", "Further field names whose values never leave the process.", kind="list"
    )
    redact_allow: tuple[str, ...] = setting(
        (), "REDACT_ALLOW", "When set, only these dotted fields leave the process.", kind="list"
    )
    force_shadow: bool = setting(
        False, "FORCE_SHADOW", "The operator's kill switch: everything runs in shadow.", kind="flag"
    )
    sample_key: Callable[[str, Any], str] | None = setting(
        None, None, "`(action type, payload) -> key` for `sample`, instead of subject, user, session or payload."
    )
    faults: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """What went wrong while these settings were read; part of `problems()`."""
    shadow_only: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """Faults that these settings stand in for, the defaults: nothing may be enforced by them."""
    doubtful: bool = dataclasses.field(default=False, repr=False)
    """Whether a key that nobody knows asks for more than shadow: it may be a misspelt mode."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **keywords: Any) -> GuardConfig:
        """Keywords over environment over defaults. A keyword that is None or an `unset` default is not set."""
        values, faults = from_environment(dataclasses.fields(cls), os.environ if environ is None else environ)
        timeout_ms = keywords.pop("review_timeout_ms", None)
        if timeout_ms is not None and given(keywords.get("review_timeout_seconds")):
            faults.append("review_timeout_ms and review_timeout_seconds are both set; give one")
        elif timeout_ms is not None:
            keywords["review_timeout_seconds"] = timeout_ms / 1000 if is_number(timeout_ms) else timeout_ms
        values.update({name: value for name, value in keywords.items() if given(value)})
        for name in ("scopes", "redact", "redact_allow"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return cls(**values, faults=tuple(faults))

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> GuardConfig:
        """From a framework's settings: upper-case field names; unknown keys become problems with a suggestion."""
        names = {field.name.upper(): field.name for field in dataclasses.fields(cls) if "doc" in field.metadata}
        names |= {"MODE": "enforcement_mode", "ON_REVIEW": "default_on_review", "SECRET": "shared_secret"}
        names |= {"DATABASE": "database_url", "REVIEW_TIMEOUT_MS": "review_timeout_ms"}
        known = {names[key]: value for key, value in settings.items() if key in names}
        config = cls.load(environ, **known)
        unknown = [key for key in settings if key not in names]
        faults = tuple(f"unknown setting {key!r}{suggestion(key, names)}" for key in unknown)
        doubtful = any(asks_for_more(settings[key]) for key in unknown)
        return dataclasses.replace(config, faults=config.faults + faults, doubtful=doubtful)

    @property
    def enforces(self) -> bool:
        """Whether any action is in `sample` or `enforce`, or may be meant to be, by settings that can't be read."""
        if self.force_shadow:
            return False
        if self.doubtful or not isinstance(self.actions, Mapping):
            return True
        return self.enforcement_mode in ENFORCING or any(_may_enforce(own) for own in self.actions.values())

    def surely_shadow(self, action_type: str, on_review: str | None = None, mode: str | None = None) -> bool:
        """Whether a call is in shadow beyond doubt, whatever the faults of these settings.

        `on_review` and `mode` are the call site's and the route rule's own.
        """
        if self.force_shadow or on_review == "shadow":
            return True
        if mode:
            return mode == "shadow"
        own = self.actions.get(action_type, {}) if isinstance(self.actions, Mapping) else None
        if not isinstance(own, Mapping):
            return False
        if own.get("mode"):
            return bool(own["mode"] == "shadow")
        return own.keys() <= set(ACTION_KEYS) and not self.doubtful and self.enforcement_mode == "shadow"

    def terms(
        self,
        action_type: str,
        *,
        on_review: str | None = None,
        mode: str | None = None,
        in_request: bool = False,
    ) -> Terms:
        """The settings that hold for `action_type` at one call site.

        `on_review` and `mode` are the call site's and the route rule's own. Raises `ConfigurationError` naming the
        value and the choices.
        """
        for name, value in (("on_review", on_review), ("mode", mode)):
            if value is not None and value not in CHOICES[name]:
                raise ConfigurationError(f"{name}={value!r} for {action_type!r}: choose one of {choices(name)}")
        own = self.actions.get(action_type, {})
        chosen_mode: Any = mode or own.get("mode") or self.enforcement_mode
        if self.force_shadow or on_review == "shadow":
            chosen_mode = "shadow"
        fallback = "fail_closed" if in_request else "block"
        return Terms(
            mode=chosen_mode,
            on_review=on_review or own.get("on_review") or self.default_on_review or fallback,  # type: ignore[arg-type]
            on_unavailable=own.get("on_unavailable", self.on_unavailable),
            sample_percent=own.get("sample_percent", self.sample_percent),
            review_timeout_seconds=own.get("review_timeout_seconds", self.review_timeout_seconds),
            review_poll_interval_seconds=self.review_poll_interval_seconds,
            audit=self.audit,
        )

    def problems(self) -> list[str]:
        """Every fault of these settings, one sentence each; empty when they can work."""
        return [*self.faults, *_problems.of_values(self), *_problems.of_actions(self.actions)]

    @property
    def remote(self) -> bool:
        """Whether the service at `base_url` is the supervisor."""
        return bool(self.base_url) and not self.service_problems()

    def service_problems(self) -> list[str]:
        """What keeps these settings from reaching the service they ask for; in shadow that is only a warning."""
        return _problems.of_service(self)

    def warn(self) -> None:
        """Log what works but is probably not meant, and the kill switch when it is on."""
        if self.force_shadow:
            logger.warning("SUPERVISOR_FORCE_SHADOW is on: every action runs in shadow, nothing is enforced")
        problems = [] if self.enforces else self.service_problems()
        if problems:
            logger.warning("%s; running on the embedded supervisor in shadow", "; ".join(problems))

    def policy_path(self) -> Path | None:
        """The policy in use: the one named, else `supervisor.yaml` in the working directory, else None."""
        if self.policy:
            return Path(self.policy).absolute()
        found = Path("supervisor.yaml").absolute()
        return found if found.is_file() else None


def _may_enforce(own: object) -> bool:
    """Whether settings of one action ask for more than shadow, be it by a misspelt mode or key."""
    if not isinstance(own, Mapping):
        return True
    return own.get("mode") not in (None, "shadow") or asks_for_more(own)
