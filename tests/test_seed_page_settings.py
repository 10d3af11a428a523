"""The published page's promises about settings and modes, one by one, on the embedded supervisor."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import (
    ReviewTimedOut,
    SupervisorBlocked,
    config,
    configure,
    get_guard,
)
from tests.seed_page import DENIED, FINE, REVIEWED, page_folder, refund, rows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with page_folder(tmp_path, monkeypatch) as path:
        yield path


def test_configure_keeps_the_published_signature() -> None:
    parameters = list(inspect.signature(configure).parameters.values())
    assert [(p.name, p.kind, p.default) for p in parameters[:9]] == [
        ("base_url", inspect.Parameter.POSITIONAL_OR_KEYWORD, None),
        ("app_id", inspect.Parameter.POSITIONAL_OR_KEYWORD, None),
        ("shared_secret", inspect.Parameter.POSITIONAL_OR_KEYWORD, None),
        ("scopes", inspect.Parameter.POSITIONAL_OR_KEYWORD, None),
        ("default_on_review", inspect.Parameter.KEYWORD_ONLY, "block"),
        ("review_poll_interval_seconds", inspect.Parameter.KEYWORD_ONLY, 2.0),
        ("review_timeout_seconds", inspect.Parameter.KEYWORD_ONLY, 60.0),
        ("enforcement_mode", inspect.Parameter.KEYWORD_ONLY, None),
        ("sample_percent", inspect.Parameter.KEYWORD_ONLY, None),
    ]


@pytest.mark.parametrize("mode", ["shadow", "sample", "enforce"])
def test_each_mode_can_be_configured(mode: Any) -> None:
    configure(enforcement_mode=mode)
    assert config.get_enforcement_mode() == mode
    assert refund(FINE) == "refunded"


def test_shadow_is_the_default_mode() -> None:
    configure()
    assert config.get_enforcement_mode() == "shadow"
    assert config.get_sample_percent() == 10
    assert refund(DENIED) == "refunded"


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("SUPERVISOR_APP_ID", "app_1", "app_id", "app_1"),
        ("SUPERVISOR_SECRET", "s3cret", "shared_secret", "s3cret"),
        ("SUPERVISOR_SCOPES", "refund, payment", "scopes", ("refund", "payment")),
        ("SUPERVISOR_ENFORCEMENT_MODE", "enforce", "enforcement_mode", "enforce"),
        ("SUPERVISOR_SAMPLE_PERCENT", "35", "sample_percent", 35),
    ],
)
def test_each_variable_is_the_fallback_of_its_keyword(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    configure()
    assert getattr(get_guard().config, field) == value


def test_the_service_s_address_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from supervisor_guards import GuardConfig

    monkeypatch.setenv("SUPERVISOR_BASE_URL", "https://supervisor.example")
    assert GuardConfig.load().base_url == "https://supervisor.example"


def test_a_keyword_beats_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    configure(enforcement_mode="shadow")
    assert refund(DENIED) == "refunded"


def test_zero_arguments_with_the_environment_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    configure()
    with pytest.raises(SupervisorBlocked, match="amount-exceeds-hard-cap"):
        refund(DENIED)


def test_without_configure_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    with pytest.raises(SupervisorBlocked, match="amount-exceeds-hard-cap"):
        refund(DENIED)


def test_the_variable_flips_the_mode_without_a_change_of_code(monkeypatch: pytest.MonkeyPatch) -> None:
    configure()
    assert refund(DENIED) == "refunded"
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    configure()
    with pytest.raises(SupervisorBlocked):
        refund(DENIED)


def test_shadow_runs_everything_and_logs_what_it_would_have_blocked(caplog: pytest.LogCaptureFixture) -> None:
    configure()
    with caplog.at_level(logging.WARNING, logger="supervisor_guards"):
        assert refund(DENIED) == "refunded"
        (row,) = rows()
    assert (row.outcome, row.would_have, row.reasons) == ("allow", "deny", ("amount-exceeds-hard-cap",))
    assert "would have blocked: action=refund" in caplog.text


def test_sample_is_hash_stable_and_shadows_the_rest() -> None:
    def blocked(percent: int) -> set[int]:
        configure(enforcement_mode="sample", sample_percent=percent)
        found = set()
        for amount in range(DENIED, DENIED + 60):
            try:
                refund(amount)
            except SupervisorBlocked:
                found.add(amount)
        return found

    half = blocked(50)
    assert blocked(50) == half
    assert 0 < len(half) < 60
    assert blocked(0) == set()
    assert len(blocked(100)) == 60


def test_enforce_blocks_denies_and_waits_for_reviews() -> None:
    configure(enforcement_mode="enforce", review_timeout_ms=0)
    with pytest.raises(SupervisorBlocked):
        refund(DENIED)
    with pytest.raises(ReviewTimedOut):
        refund(REVIEWED)
