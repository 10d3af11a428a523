"""Settings of the service that can't work are refused before it starts, each by name."""

from __future__ import annotations

import pytest

from supervisor_guards.service.config import ServiceConfig

NUMBERS = {
    "max_body_bytes": "MAX_BODY_BYTES",
    "max_batch": "MAX_BATCH",
    "per_minute": "RATE_PER_MINUTE",
    "review_expires_seconds": "REVIEW_EXPIRES_SECONDS",
    "review_window_seconds": "REVIEW_WINDOW_SECONDS",
    "secret_overlap_seconds": "SECRET_OVERLAP_SECONDS",
    "session_hours": "SESSION_HOURS",
    "webhook_timeout_seconds": "WEBHOOK_TIMEOUT_SECONDS",
    "webhook_attempts": "WEBHOOK_ATTEMPTS",
    "retention_days": "RETENTION_DAYS",
    "anchor_interval_seconds": "ANCHOR_INTERVAL_SECONDS",
}


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e300", "99999999999999999999"])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_no_time_or_count_is_are_refused(name: str, value: str) -> None:
    """A retention of less than nothing would delete what is written from now on."""
    variable = f"SUPERVISOR_{NUMBERS[name]}"
    found = ServiceConfig.load({variable: value}).problems()
    assert len(found) == 1
    assert variable in found[0]


@pytest.mark.parametrize("name", NUMBERS)
def test_nothing_is_a_choice_where_it_says_so(name: str) -> None:
    found = ServiceConfig.load({f"SUPERVISOR_{NUMBERS[name]}": "0"}).problems()
    assert (not found) is (name in ("per_minute", "review_window_seconds"))


def test_the_settings_without_a_choice_work() -> None:
    assert ServiceConfig.load({}).problems() == ()
    assert ServiceConfig.load({"SUPERVISOR_RETENTION_DAYS": "0.5"}).problems() == ()
