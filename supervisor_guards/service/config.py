"""The service's settings: one frozen value, from keywords and `SUPERVISOR_*` variables."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor_guards._settings import from_environment, given, setting

DATABASE = "service.db"
_MAY_BE_ZERO = ("per_minute", "review_window_seconds")
_TEN_YEARS = 315_360_000
_MOST = {
    "max_body_bytes": 1_000_000_000, "max_batch": 1_000_000, "per_minute": 1_000_000_000,
    "review_expires_seconds": _TEN_YEARS, "review_window_seconds": _TEN_YEARS, "secret_overlap_seconds": _TEN_YEARS,
    "session_hours": 87_600, "webhook_timeout_seconds": 3_600, "webhook_attempts": 1_000, "retention_days": 36_500,
    "anchor_interval_seconds": _TEN_YEARS,
}  # fmt: skip
"""Beyond these a time is none that a database, or a date, can hold."""
_CHOICES = {"metrics": ("loopback", "people", "everybody"), "log_format": ("text", "json")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """The settings of a service, the same for each of its processes. `problems()` lists every fault."""

    database_url: str | None = setting(
        None, "DATABASE_URL", "`postgresql://...` or `sqlite:///PATH`; else SQLite in `state_dir`."
    )
    state_dir: str = setting(".supervisor", "STATE_DIR", "Folder of the default database and the key file.")
    policy: str | None = setting(
        None, "POLICY", "Policy file or folder that is taken in and promoted at the start; else `supervisor.yaml` "
        "beside the process."
    )  # fmt: skip
    admin_token: str | None = dataclasses.field(
        default=None,
        repr=False,
        metadata={
            "env": "SUPERVISOR_ADMIN_TOKEN",
            "doc": "The administrator's token; else one is made at the first start and printed once.",
            "unit": "",
            "kind": "text",
        },
    )
    max_body_bytes: int = setting(
        1_048_576, "MAX_BODY_BYTES", "Larger requests are refused while they are read.", unit="bytes", kind="integer"
    )
    max_batch: int = setting(256, "MAX_BATCH", "Actions in one batch.", unit="items", kind="integer")
    per_minute: int = setting(
        0, "RATE_PER_MINUTE", "Actions that each integration may have judged; 0 is no limit. One integration can have "
        "its own.", unit="actions a minute", kind="integer",
    )  # fmt: skip
    review_expires_seconds: float = setting(
        86_400.0, "REVIEW_EXPIRES_SECONDS", "After this long a review can't be approved any more.",
        unit="s", kind="number",
    )  # fmt: skip
    review_window_seconds: float = setting(
        600.0, "REVIEW_WINDOW_SECONDS", "A repeated request of a client that uses approvals up joins the open review "
        "of the same content, subject and action for this long; 0 opens a new one each time.", unit="s", kind="number",
    )  # fmt: skip
    secret_overlap_seconds: float = setting(
        86_400.0, "SECRET_OVERLAP_SECONDS", "How long a rotated secret stays good.", unit="s", kind="number"
    )
    session_hours: float = setting(
        12.0, "SESSION_HOURS", "How long a person stays signed in.", unit="hours", kind="number"
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), "TRUSTED_PROXIES", "Addresses or networks of proxies whose `X-Forwarded-For` and identity header are "
        "believed.", kind="list",
    )  # fmt: skip
    identity_header: str | None = setting(
        None, "IDENTITY_HEADER", "The header in which trusted proxies name the person, such as `X-Forwarded-User`; "
        "unset, they name nobody.",
    )  # fmt: skip
    webhook_private: bool = setting(
        False, "WEBHOOK_PRIVATE", "Whether webhooks may go to private, loopback and link-local addresses.",
        kind="flag",
    )  # fmt: skip
    webhook_timeout_seconds: float = setting(
        10.0, "WEBHOOK_TIMEOUT_SECONDS", "How long a receiver may take.", unit="s", kind="number"
    )
    webhook_attempts: int = setting(
        12, "WEBHOOK_ATTEMPTS", "Tries before a delivery is given up; the pause doubles from 5 s to an hour.",
        unit="tries", kind="integer",
    )  # fmt: skip
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
    redact: tuple[str, ...] = setting(
        (), "REDACT", "Further field names whose values are neither stored nor shown.", kind="list"
    )
    metrics: str = setting(
        "loopback", "METRICS", "Who may read `/metrics`: `loopback` (programs on the same machine, and people), "
        "`people` (from the role viewer on), `everybody`."
    )  # fmt: skip
    log_format: str = setting("text", "LOG_FORMAT", "How the log is written: `text` or `json`.")
    log_requests: bool = setting(True, "LOG_REQUESTS", "Whether each request has a line in the log.", kind="flag")
    faults: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """What went wrong while these settings were read; part of `problems()`."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **keywords: Any) -> ServiceConfig:
        """Keywords over environment over defaults. A keyword that is None is not set."""
        values, faults = from_environment(dataclasses.fields(cls), os.environ if environ is None else environ)
        values.update({name: value for name, value in keywords.items() if given(value)})
        return cls(**values, faults=tuple(faults))

    def problems(self) -> tuple[str, ...]:
        """One sentence each: the setting, its value, what to give instead. Empty where the service can start."""
        found = list(self.faults)
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is None and name == "retention_days":
                continue
            zero = name in _MAY_BE_ZERO
            fits = False  # NaN compares with nothing
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                fits = 0 < value <= most or (zero and value == 0)
            if not fits:
                found.append(f"{_named(name)}={value!r}: give a number {'from' if zero else 'above'} 0 up to {most}")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                found.append(f"{_named(name)}={value!r}: choose one of {', '.join(choices)}")
        if self.admin_token is not None and len(self.admin_token) < 20:
            # The value is a secret: the message tells its length, never itself.
            found.append(
                f"{_named('admin_token')} has {len(self.admin_token)} characters: give at least 20, such as "
                "`openssl rand -hex 24` makes"
            )
        for address in self.trusted_proxies:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError:
                found.append(f"{_named('trusted_proxies')}: {address!r} is no address or network such as 10.0.0.0/8")
        return tuple(found)

    @property
    def url(self) -> str:
        """The database in use."""
        return self.database_url or f"sqlite:///{Path(self.state_dir).absolute() / DATABASE}"

    def policy_path(self) -> Path | None:
        """The policy to take in: the one named, else `supervisor.yaml` in the working directory, else None."""
        if self.policy:
            return Path(self.policy).absolute()
        found = Path("supervisor.yaml").absolute()
        return found if found.is_file() else None


def _named(field: str) -> str:
    env = next(one.metadata["env"] for one in dataclasses.fields(ServiceConfig) if one.name == field)
    return f"{field} ({env})"
