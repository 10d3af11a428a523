"""Settings: every fault at once, and who beats whom."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import POLICY, FakeSupervisor, settings

from supervisor_guards import ConfigurationError, Guard, GuardConfig, configure, supervised
from supervisor_guards.config import (
    get_app_id,
    get_default_on_review,
    get_enforcement_mode,
    get_guard,
    get_review_poll_interval,
    get_review_timeout,
    get_sample_percent,
    reset_for_tests,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty folder, no setting in the environment, and no default guard."""
    import os

    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    reset_for_tests()


WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"enforcement_mode": "enforced"}, ("'enforced'", "SUPERVISOR_ENFORCEMENT_MODE", "shadow, sample, enforce")),
    ({"review_timeout_seconds": -1.0}, ("-1.0", "review_timeout_seconds", "seconds")),
    ({"review_poll_interval_seconds": 0.0}, ("0.0", "review_poll_interval_seconds", "greater than 0")),
    ({"review_expires_seconds": float("nan")}, ("nan", "review_expires_seconds")),
    ({"sample_percent": 101}, ("101", "SUPERVISOR_SAMPLE_PERCENT", "0 to 100")),
    ({"sample_percent": True}, ("True", "sample_percent")),
    ({"default_on_review": "wait"}, ("'wait'", "default_on_review", "block, fail_closed, fail_open, shadow")),
    ({"on_unavailable": "open"}, ("'open'", "on_unavailable", "fail_closed, fail_open")),
    ({"unmatched": "ignore"}, ("'ignore'", "unmatched", "deny, review, allow")),
    ({"audit": "never"}, ("'never'", "audit", "async, sync")),
    ({"queue_size": 0}, ("0", "queue_size", "at least 1")),
    ({"actions": {"refund": {"mode": "on"}}}, ("actions['refund']['mode']", "'on'", "shadow, sample, enforce")),
    ({"actions": {"refund": {"on_reveiw": "block"}}}, ("'on_reveiw'", "did you mean 'on_review'")),
    ({"actions": {"refund": {"sample_percent": -1}}}, ("actions['refund']['sample_percent']", "-1")),
    ({"actions": {"refund": "enforce"}}, ("actions['refund']", "'enforce'", "mapping")),
    ({"actions": ["refund"]}, ("actions", "mapping")),
    (
        {"review_timeout_ms": 500, "review_timeout_seconds": 1.0},
        ("review_timeout_ms", "review_timeout_seconds", "both"),
    ),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_value_is_named_with_its_setting_and_the_choices(number: int) -> None:
    keywords, parts = WRONG[number]
    with pytest.raises(ConfigurationError) as caught:
        Guard(GuardConfig.load({}, **keywords), FakeSupervisor())
    (problem,) = caught.value.problems
    for part in parts:
        assert part in problem
    assert "s3cret" not in str(caught.value)


REACHED = {"app_id": "shop", "shared_secret": "s3cret"}


@pytest.mark.parametrize(
    ("keywords", "parts"),
    [
        ({"enforcement_mode": "enforce", "app_id": "shop"}, ("base_url", "SUPERVISOR_BASE_URL", "SUPERVISOR_APP_ID")),
        ({"enforcement_mode": "sample", "shared_secret": "s3cret"}, ("base_url", "SUPERVISOR_SECRET")),
        (
            {"enforcement_mode": "enforce", "base_url": "https://supervisor.example", "app_id": "shop"},
            ("base_url", "SUPERVISOR_BASE_URL", "shared_secret", "SUPERVISOR_SECRET"),
        ),
        (
            {"enforcement_mode": "sample", "base_url": "https://supervisor.example", "shared_secret": "s3cret"},
            ("base_url", "SUPERVISOR_BASE_URL", "app_id", "SUPERVISOR_APP_ID"),
        ),
        (
            {"enforcement_mode": "enforce", "base_url": "http://supervisor.example", **REACHED},
            ("http://supervisor.example", "https", "allow_http", "SUPERVISOR_ALLOW_HTTP"),
        ),
        ({"enforcement_mode": "enforce", "base_url": "supervisor.example", **REACHED}, ("'supervisor.example'",)),
        ({"enforcement_mode": "enforce", "base_url": "https://me:s3cret@x.example", **REACHED}, ("password",)),
        (
            {"enforcement_mode": "enforce", "base_url": "https://x.example", "ca_file": "/nowhere.pem", **REACHED},
            ("ca_file", "SUPERVISOR_CA_FILE", "/nowhere.pem"),
        ),
    ],
)
def test_settings_of_a_service_are_not_ignored_when_something_is_enforced(
    keywords: dict[str, Any], parts: tuple[str, ...], tmp_path: Path
) -> None:
    policy = tmp_path / "supervisor.yaml"
    policy.write_text(
        "name: refund.base\nversion: 1\nrules: [{id: a, when: payload.amount > 1, action: deny, reason: a}]\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        Guard(GuardConfig.load({}, policy=str(policy), **keywords))
    (problem,) = caught.value.problems
    assert [part for part in parts if part not in problem] == []
    assert "s3cret" not in problem


WRONG_TEXT = [
    ("SUPERVISOR_ENFORCEMENT_MODE", "enforced"),
    ("SUPERVISOR_SAMPLE_PERCENT", "ten"),
    ("SUPERVISOR_SAMPLE_PERCENT", "101"),
    ("SUPERVISOR_REVIEW_TIMEOUT_SECONDS", "soon"),
    ("SUPERVISOR_REVIEW_TIMEOUT_SECONDS", "nan"),
    ("SUPERVISOR_FORCE_SHADOW", "maybe"),
    ("SUPERVISOR_ON_REVIEW", "wait"),
]


@pytest.mark.parametrize(("name", "text"), WRONG_TEXT)
def test_a_wrong_environment_value_is_named_with_its_variable(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(ConfigurationError) as caught:
        configure()
    (problem,) = caught.value.problems
    assert name in problem
    assert text in problem


def test_every_fault_is_told_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_QUEUE_SIZE", "many")
    with pytest.raises(ConfigurationError) as caught:
        configure(
            app_id="shop",
            default_on_review="wait",  # type: ignore[arg-type]
            review_poll_interval_seconds=-2.0,
            review_timeout_seconds=1.0,
            review_timeout_ms=5,
            sample_percent=101,
            enforcement_mode="enforced",  # type: ignore[arg-type]
            actions={"refund": {"mode": "enforce"}},
        )
    problems = " | ".join(caught.value.problems)
    told = (
        "SUPERVISOR_QUEUE_SIZE", "'wait'", "-2.0", "review_timeout_ms", "101", "'enforced'", "base_url",
        "no policy",
    )  # fmt: skip
    assert [part for part in told if part not in problems] == []
    assert len(caught.value.problems) == len(told)


def test_enforcing_without_a_policy_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure(enforcement_mode="enforce")
    assert str(tmp_path / "supervisor.yaml") in str(caught.value)
    assert "SUPERVISOR_POLICY" in str(caught.value)


def test_enforcing_with_a_policy_and_a_store_that_cannot_be_opened_names_both(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("name: x\nruels: []\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError) as caught:
        configure(enforcement_mode="enforce", policy="broken.yaml", state_dir=str(tmp_path / "file" / "state"))
    assert "ruels" in str(caught.value)
    assert str(tmp_path / "file") in str(caught.value)


def test_a_failed_configure_leaves_the_former_guard_in_use(tmp_path: Path) -> None:
    configure(app_id="first", base_url="http://supervisor.example")
    former = get_guard()
    with pytest.raises(ConfigurationError):
        configure(sample_percent=101)
    assert get_guard() is former


def test_an_id_without_an_address_is_a_warning_in_shadow(caplog: pytest.LogCaptureFixture) -> None:
    configure(app_id="shop", shared_secret="s3cret")
    assert [record.levelno for record in caplog.records if "base_url" in record.message] == [logging.WARNING]
    assert "s3cret" not in caplog.text


# environment, keywords of configure, call site -> mode, and what happens on review
PRECEDENCE: list[tuple[dict[str, str], dict[str, Any], dict[str, Any], str, str]] = [
    ({}, {}, {}, "shadow", "block"),
    ({}, {}, {"in_request": True}, "shadow", "fail_closed"),
    ({"ENFORCEMENT_MODE": "sample"}, {}, {}, "sample", "block"),
    ({"ENFORCEMENT_MODE": "sample"}, {"enforcement_mode": "enforce"}, {}, "enforce", "block"),
    ({"ENFORCEMENT_MODE": "enforce"}, {"enforcement_mode": "shadow"}, {}, "shadow", "block"),
    ({}, {"enforcement_mode": "enforce", "actions": {"refund": {"mode": "shadow"}}}, {}, "shadow", "block"),
    ({}, {"actions": {"refund": {"mode": "sample"}}}, {}, "sample", "block"),
    ({}, {"actions": {"other": {"mode": "sample"}}}, {}, "shadow", "block"),
    ({}, {"actions": {"refund": {"mode": "shadow"}}}, {"mode": "enforce"}, "enforce", "block"),
    ({}, {"enforcement_mode": "enforce"}, {"on_review": "shadow"}, "shadow", "shadow"),
    ({}, {"enforcement_mode": "enforce"}, {"on_review": "shadow", "mode": "enforce"}, "shadow", "shadow"),
    ({"FORCE_SHADOW": "1"}, {"enforcement_mode": "enforce"}, {"mode": "enforce"}, "shadow", "block"),
    ({"FORCE_SHADOW": "1"}, {"actions": {"refund": {"mode": "enforce"}}}, {}, "shadow", "block"),
    ({"FORCE_SHADOW": "0"}, {"enforcement_mode": "enforce"}, {}, "enforce", "block"),
    ({"ON_REVIEW": "fail_open"}, {}, {}, "shadow", "fail_open"),
    ({"ON_REVIEW": "fail_open"}, {"default_on_review": "block"}, {"in_request": True}, "shadow", "block"),
    ({}, {"default_on_review": "fail_open"}, {"on_review": "fail_closed"}, "shadow", "fail_closed"),
    ({}, {"default_on_review": "block", "actions": {"refund": {"on_review": "fail_open"}}}, {}, "shadow", "fail_open"),
    ({}, {"actions": {"refund": {"on_review": "fail_open"}}}, {"on_review": "block"}, "shadow", "block"),
]


@pytest.mark.parametrize("number", range(len(PRECEDENCE)))
def test_who_beats_whom(number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment, keywords, call_site, mode, on_review = PRECEDENCE[number]
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    for name, text in environment.items():
        monkeypatch.setenv(f"SUPERVISOR_{name}", text)
    configure(**keywords)
    terms = get_guard().config.terms("refund", **call_site)
    assert (terms.mode, terms.on_review) == (mode, on_review)


def test_the_kill_switch_reaches_guarded_calls_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SUPERVISOR_FORCE_SHADOW", "1")
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    configure(enforcement_mode="enforce")
    assert supervised("refund")(lambda amount: amount)(20_000) == 20_000
    assert "SUPERVISOR_FORCE_SHADOW" in caplog.text


def test_a_call_sites_shadow_lets_a_deny_pass(tmp_path: Path) -> None:
    with_policy = settings(tmp_path)
    configure(enforcement_mode="enforce", policy=with_policy.policy)
    assert supervised("refund", on_review="shadow")(lambda amount: amount)(20_000) == 20_000


@pytest.mark.parametrize("option", ["on_review", "mode"])
def test_an_unknown_word_at_the_call_site_is_an_error(option: str) -> None:
    guard = Guard(GuardConfig(), FakeSupervisor())
    with pytest.raises(ConfigurationError, match=f"{option}='enforced'"):
        guard.check("refund", {}, **{option: "enforced"})
    guard.close()


def test_the_published_getters_tell_what_was_configured() -> None:
    configure("http://supervisor.example", "shop", "s3cret", ["a", "b"], review_timeout_ms=1500, sample_percent=7)
    assert (get_app_id(), get_enforcement_mode(), get_sample_percent()) == ("shop", "shadow", 7)
    assert (get_default_on_review(), get_review_poll_interval(), get_review_timeout()) == ("block", 2.0, 1.5)
    assert get_guard().config.scopes == ("a", "b")
    assert "s3cret" not in repr(get_guard().config)


def test_framework_settings_are_upper_case_and_misspelt_ones_are_faults() -> None:
    config = GuardConfig.from_mapping({"MODE": "sample", "SAMPLE_PERCENT": 3, "ACTOINS": {}}, {})
    assert (config.enforcement_mode, config.sample_percent) == ("sample", 3)
    assert config.problems() == ["unknown setting 'ACTOINS'; did you mean 'ACTIONS'?"]


FIRST_USE = """
import threading
from supervisor_guards import SupervisorBlocked, get_guard, supervised

@supervised("refund")
def refund(amount):
    return amount

start, guards, blocked = threading.Barrier(8), set(), []

def call():
    start.wait()
    try:
        refund(20_000)
    except SupervisorBlocked as error:
        blocked.append(error.reasons)
    guards.add(id(get_guard()))

threads = [threading.Thread(target=call) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(guards) == 1, guards
print(blocked.count(["amount-exceeds-hard-cap"]))
"""


def test_first_use_from_the_environment_makes_one_guard_and_never_deadlocks(tmp_path: Path) -> None:
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FIRST_USE)],
        cwd=tmp_path,
        env={"SUPERVISOR_ENFORCEMENT_MODE": "enforce", "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.returncode) == ("8", 0), done.stderr


def test_wrong_settings_in_the_environment_never_break_a_shadow_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SUPERVISOR_REVIEW_TIMEOUT_SECONDS", "soon")
    assert supervised("refund")(lambda amount: amount)(5) == 5
    assert "SUPERVISOR_REVIEW_TIMEOUT_SECONDS='soon'" in caplog.text


@pytest.mark.parametrize("name", ["SUPERVISOR_ENFORCEMENT_MODE", "SUPERVISOR_FORCE_SHADOW"])
def test_a_wrong_mode_in_the_environment_never_becomes_another_mode(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_ENFORCEMENT_MODE", "enforce")
    monkeypatch.setenv(name, "enforced")
    with pytest.raises(ConfigurationError, match="enforced"):
        supervised("refund")(lambda amount: amount)(5)
