"""`configure` and what it set. See `GuardConfig` for every setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from supervisor_guards._client import ClientSupervisor, LocalClient
from supervisor_guards._config import GuardConfig
from supervisor_guards._default import get_guard, set_guard
from supervisor_guards._guard import Guard
from supervisor_guards._model import Mode, OnReview, OnUnavailable
from supervisor_guards._settings import unset

__all__ = [
    "configure",
    "get_app_id",
    "get_client",
    "get_default_on_review",
    "get_enforcement_mode",
    "get_guard",
    "get_review_poll_interval",
    "get_review_timeout",
    "get_sample_percent",
    "inject_client_for_tests",
    "reset_for_tests",
]

_BLOCK: OnReview = unset("block")


def configure(
    base_url: str | None = None,
    app_id: str | None = None,
    shared_secret: str | None = None,
    scopes: Sequence[str] | None = None,
    *,
    default_on_review: OnReview = _BLOCK,
    review_poll_interval_seconds: float = unset(2.0),
    review_timeout_seconds: float = unset(60.0),
    enforcement_mode: Mode | None = None,
    sample_percent: int | None = None,
    review_timeout_ms: float | None = None,
    review_expires_seconds: float | None = None,
    review_window_seconds: float | None = None,
    retention_days: float | None = None,
    anchor: str | None = None,
    anchor_interval_seconds: float | None = None,
    actions: Mapping[str, Mapping[str, Any]] | None = None,
    policy: str | None = None,
    unmatched: Literal["deny", "review", "allow"] | None = None,
    on_unavailable: OnUnavailable | None = None,
    database_url: str | None = None,
    state_dir: str | None = None,
    audit: Literal["async", "sync"] | None = None,
    max_payload_bytes: int | None = None,
    queue_size: int | None = None,
    queue_bytes: int | None = None,
    redact: Sequence[str] | None = None,
    redact_allow: Sequence[str] | None = None,
    sample_key: Callable[[str, Any], str] | None = None,
    reviewer_token: str | None = None,
    allow_http: bool | None = None,
    ca_file: str | None = None,
    evaluate_timeout_seconds: float | None = None,
    breaker_failures: int | None = None,
    breaker_seconds: float | None = None,
    max_connections: int | None = None,
) -> None:
    """Make the default guard; the former one, if any, is closed.

    Every keyword beats its environment variable (`SUPERVISOR_*`), which beats the default; so with the
    environment set, `configure()` is enough. `review_timeout_ms` is `review_timeout_seconds` in milliseconds.
    The settings page says what each one does, in which unit.

    Raises `ConfigurationError` with every fault at once; the former guard then stays in use.
    """
    config = GuardConfig.load(
        base_url=base_url,
        app_id=app_id,
        shared_secret=shared_secret,
        scopes=scopes,
        default_on_review=default_on_review,
        review_poll_interval_seconds=review_poll_interval_seconds,
        review_timeout_seconds=review_timeout_seconds,
        enforcement_mode=enforcement_mode,
        sample_percent=sample_percent,
        review_timeout_ms=review_timeout_ms,
        review_expires_seconds=review_expires_seconds,
        review_window_seconds=review_window_seconds,
        retention_days=retention_days,
        anchor=anchor,
        anchor_interval_seconds=anchor_interval_seconds,
        actions=actions,
        policy=policy,
        unmatched=unmatched,
        on_unavailable=on_unavailable,
        database_url=database_url,
        state_dir=state_dir,
        audit=audit,
        max_payload_bytes=max_payload_bytes,
        queue_size=queue_size,
        queue_bytes=queue_bytes,
        redact=redact,
        redact_allow=redact_allow,
        sample_key=sample_key,
        reviewer_token=reviewer_token,
        allow_http=allow_http,
        ca_file=ca_file,
        evaluate_timeout_seconds=evaluate_timeout_seconds,
        breaker_failures=breaker_failures,
        breaker_seconds=breaker_seconds,
        max_connections=max_connections,
    )
    guard = Guard(config)
    config.warn()
    set_guard(guard)


def get_client() -> Any:
    """An object with the methods of the published client, acting on the supervisor of the default guard."""
    guard = get_guard()
    if isinstance(guard.supervisor, ClientSupervisor):
        return guard.supervisor.client
    if guard.config.remote:
        from supervisor_guards._remote_client import RemoteClient
        from supervisor_guards.remote.client import RemoteSupervisor

        if isinstance(guard.supervisor, RemoteSupervisor):
            return RemoteClient(guard, guard.supervisor)
    return LocalClient(guard)


def get_default_on_review() -> OnReview:
    """What happens on review where neither call site nor action says so."""
    return get_guard().config.default_on_review or "block"


def get_review_poll_interval() -> float:
    """Seconds between two looks at a pending review."""
    return float(get_guard().config.review_poll_interval_seconds)


def get_review_timeout() -> float:
    """Seconds that `block` waits for a person."""
    return float(get_guard().config.review_timeout_seconds)


def get_enforcement_mode() -> Mode:
    """`shadow`, `sample` or `enforce`, for actions without a mode of their own."""
    return get_guard().config.enforcement_mode


def get_sample_percent() -> int:
    """The share of keys that `sample` enforces, in percent."""
    return get_guard().config.sample_percent


def get_app_id() -> str:
    """This application's id."""
    return get_guard().config.app_id


def reset_for_tests() -> None:
    """Forget the default guard: the next use makes one from the environment."""
    set_guard(None)


def inject_client_for_tests(
    client: Any,
    *,
    enforcement_mode: Mode = "enforce",
    sample_percent: int = 10,
    default_on_review: OnReview = "block",
    app_id: str = "test-app",
) -> None:
    """Make a default guard that asks `client`, an object with the published client's methods.

    Everything happens in the caller, shadow evaluations too, so a test can assert on the client at once.
    """
    config = GuardConfig(
        app_id=app_id,
        enforcement_mode=enforcement_mode,
        sample_percent=sample_percent,
        default_on_review=default_on_review,
    )
    set_guard(Guard(config, ClientSupervisor(client), inline=True))
