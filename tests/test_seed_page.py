"""The published page's promises, one by one, on the embedded supervisor.

Its snippets are kept word for word, but for what they take from outside: a payment service, a mailer, a logger.
"""

from __future__ import annotations

import inspect
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import (
    ConfigurationError,
    ReviewRejected,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    config,
    configure,
    get_client,
    get_guard,
    guarded,
    supervised,
    supervised_async,
)

POLICY = """
name: seed
version: 1
action: [refund, email_send]
rules:
  - {id: hard-cap, when: "payload.get('amount', 0) > 10000", action: deny, reason: amount-exceeds-hard-cap}
  - {id: large, when: "payload.get('amount', 0) > 1000", action: review, reason: large-refund}
  - {id: recipient, when: "payload.get('to', '').endswith('@blocked.example')", action: deny, reason: recipient}
"""

DENIED, REVIEWED, FINE = 99_999, 5_000, 420


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a policy, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith("SUPERVISOR_"):
            monkeypatch.delenv(name)
    (tmp_path / "supervisor.yaml").write_text(POLICY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config.reset_for_tests()
    yield tmp_path
    config.reset_for_tests()


class Stripe:
    """The payment service of the page's example."""

    def __init__(self) -> None:
        self.refunded: list[tuple[str, int]] = []

    async def create_async(self, *, payment_intent: str, amount: int) -> dict[str, Any]:
        self.refunded.append((payment_intent, amount))
        return {"id": payment_intent, "amount": amount}


def refunder(stripe: Stripe) -> Callable[[str, int], Any]:
    """The page's first example."""

    @supervised_async(
        "refund",
        payload=lambda order_id, amount: {"order_id": order_id, "amount": amount, "currency": "USD"},
    )
    async def do_refund(order_id: str, amount: int) -> dict[str, Any]:
        return await stripe.create_async(payment_intent=order_id, amount=amount)

    return do_refund


def refund(amount: int, *, on_review: Any = None) -> str:
    """A guarded refund of `amount`."""
    return guarded("refund", {"amount": amount}, lambda: "refunded", on_review=on_review)


def rows() -> list[Any]:
    """What was recorded, oldest first."""
    assert get_guard().flush()
    return list(reversed(get_guard().supervisor.store.decisions()))  # type: ignore[attr-defined]


# -- Configure once ----------------------------------------------------------------------------------------


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


# -- Wrap an action ----------------------------------------------------------------------------------------


def test_the_check_happens_before_the_payment_service_is_called() -> None:
    configure(enforcement_mode="enforce")
    stripe = Stripe()
    do_refund = refunder(stripe)
    assert anyio.run(do_refund, "pi_abc", FINE) == {"id": "pi_abc", "amount": FINE}
    with pytest.raises(SupervisorBlocked):
        anyio.run(do_refund, "pi_abc", DENIED)
    assert stripe.refunded == [("pi_abc", FINE)]


def test_the_payload_callable_makes_the_payload() -> None:
    configure()
    anyio.run(refunder(Stripe()), "pi_abc", 4200)
    (row,) = rows()
    assert row.payload == '{"amount":4200,"currency":"USD","order_id":"pi_abc"}'


def test_supervised_takes_the_same_payload() -> None:
    configure(enforcement_mode="enforce")

    @supervised("refund", payload=lambda order_id, cents: {"order_id": order_id, "amount": cents // 100})
    def do_refund(order_id: str, cents: int) -> str:
        return order_id

    assert do_refund("pi_abc", 42_000) == "pi_abc"
    with pytest.raises(SupervisorBlocked):
        do_refund("pi_abc", 9_999_900)


def test_without_payload_the_arguments_are_captured() -> None:
    configure(enforcement_mode="enforce")

    @supervised("refund")
    def do_refund(order_id: str, amount: int) -> str:
        return order_id

    assert do_refund("pi_abc", amount=FINE) == "pi_abc"
    with pytest.raises(SupervisorBlocked):
        do_refund("pi_abc", DENIED)


def test_guarded_passes_the_arguments_on() -> None:
    configure(enforcement_mode="enforce")
    sent: list[dict[str, str]] = []

    class User:
        email = "ada@example.org"

    def send(**message: str) -> int:
        sent.append(message)
        return len(sent)

    def send_receipt_email(user: User, order: str) -> int:
        return guarded(
            "email_send",
            {"to": user.email, "subject": "Your receipt"},
            send,
            to=user.email,
            subject="Your receipt",
            html=f"<p>{order}</p>",
        )

    assert send_receipt_email(User(), "o-1") == 1
    assert sent == [{"to": "ada@example.org", "subject": "Your receipt", "html": "<p>o-1</p>"}]
    User.email = "eve@blocked.example"
    with pytest.raises(SupervisorBlocked, match="recipient"):
        send_receipt_email(User(), "o-2")
    assert len(sent) == 1


def test_guarded_in_a_thread_serves_async_code() -> None:
    configure(enforcement_mode="enforce")

    async def main() -> str:
        import asyncio

        return await asyncio.to_thread(guarded, "refund", {"amount": FINE}, lambda: "refunded")

    assert anyio.run(main) == "refunded"


# -- Modes -------------------------------------------------------------------------------------------------


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


# -- On review ---------------------------------------------------------------------------------------------


def in_thread(amount: int) -> queue.Queue[object]:
    """Call `refund(amount)` in a thread; the queue gets its answer or its error."""
    answers: queue.Queue[object] = queue.Queue()

    def call() -> None:
        try:
            answers.put(refund(amount))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=call, daemon=True).start()
    return answers


def first_pending() -> Any:
    """The review that another thread is about to make."""
    while not (pending := get_client().list_reviews("pending")):
        threading.Event().wait(0.01)
    return pending[0]


def blocking(**settings: Any) -> None:
    configure(enforcement_mode="enforce", review_poll_interval_seconds=0.02, **settings)


def test_block_is_the_default_and_runs_once_approved() -> None:
    blocking()
    answers = in_thread(REVIEWED)
    get_client().resolve_review(first_pending().id, "approved")
    assert answers.get(timeout=30) == "refunded"


def test_block_raises_once_rejected() -> None:
    blocking(default_on_review="block")
    answers = in_thread(REVIEWED)
    get_client().resolve_review(first_pending().id, "rejected", notes="not this one")
    error = answers.get(timeout=30)
    assert isinstance(error, ReviewRejected)
    assert error.reasons == ["large-refund", "review-rejected", "not this one"]


@pytest.mark.parametrize("settings", [{"review_timeout_ms": 50}, {"review_timeout_seconds": 0.05}])
def test_a_timeout_counts_as_deny(settings: dict[str, float]) -> None:
    blocking(**settings)
    with pytest.raises(SupervisorBlocked) as caught:
        refund(REVIEWED)
    assert caught.value.reasons == ["large-refund", "review-timeout-after-0.05s"]


def test_both_timeouts_together_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="review_timeout_ms and review_timeout_seconds"):
        configure(review_timeout_ms=50, review_timeout_seconds=0.05)


def test_async_block_waits_for_the_reviewer() -> None:
    blocking()
    stripe = Stripe()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refunder(stripe), "pi_abc", REVIEWED)
            review = await anyio.to_thread.run_sync(first_pending)
            await anyio.to_thread.run_sync(get_client().resolve_review, review.id, "approved")

    anyio.run(main)
    assert stripe.refunded == [("pi_abc", REVIEWED)]


def test_fail_closed_raises_at_once_and_queues_the_action() -> None:
    configure(enforcement_mode="enforce", default_on_review="fail_closed")
    with pytest.raises(SupervisorReviewPending) as caught:
        refund(REVIEWED)
    assert caught.value.reasons == ["large-refund"]
    assert [review.action_id for review in get_client().list_reviews("pending")] == [caught.value.action_id]


@pytest.mark.parametrize("on_review", ["fail_open", "shadow"])
def test_fail_open_and_shadow_proceed_and_record_it(on_review: Any) -> None:
    configure(enforcement_mode="enforce", default_on_review=on_review)
    assert refund(REVIEWED) == "refunded"
    (row,) = rows()
    assert "large-refund" in row.reasons
    assert get_client().list_reviews("pending") == []


@pytest.mark.parametrize("on_review", ["fail_open", "shadow"])
def test_the_call_site_overrides_the_default(on_review: Any) -> None:
    configure(enforcement_mode="enforce", default_on_review="fail_closed")
    with pytest.raises(SupervisorReviewPending):
        refund(REVIEWED)
    assert refund(REVIEWED, on_review=on_review) == "refunded"


def test_a_decorator_overrides_the_default() -> None:
    configure(enforcement_mode="enforce", default_on_review="fail_open")

    @supervised("refund", on_review="fail_closed")
    def strict(amount: int) -> str:
        return "refunded"

    with pytest.raises(SupervisorReviewPending):
        strict(REVIEWED)


# -- Errors ------------------------------------------------------------------------------------------------


def test_errors_say_why_and_give_the_audit_reference() -> None:
    configure(enforcement_mode="enforce", default_on_review="fail_closed")
    do_refund = refunder(Stripe())
    warned: list[SupervisorBlocked] = []
    queued: list[str] = []
    for amount in (DENIED, REVIEWED):
        try:
            anyio.run(do_refund, "pi_abc", amount)
        except SupervisorBlocked as e:
            warned.append(e)
        except SupervisorReviewPending as e:
            queued.append(e.action_id)
    denied, reviewed = rows()
    assert [(e.decision, e.reasons, e.action_id, e.threats) for e in warned] == [
        ("deny", ["amount-exceeds-hard-cap"], denied.action_id, [])
    ]
    assert queued == [reviewed.action_id]


# -- What you see ------------------------------------------------------------------------------------------


def test_every_guarded_call_is_recorded_whatever_its_mode() -> None:
    configure(actions={"email_send": {"mode": "enforce"}})
    refund(FINE)
    guarded("email_send", {"to": "ada@example.org"}, lambda: None)
    assert sorted((row.action_type, row.mode, row.result) for row in rows()) == [
        ("email_send", "enforce", "returned"),
        ("refund", "shadow", "returned"),
    ]


def test_a_policy_of_the_published_package_reads_args_and_kwargs(tmp_path: Path) -> None:
    policy = tmp_path / "published.yaml"
    policy.write_text(
        "name: refund.base\nversion: 1\nrules:\n"
        "  - {id: positional, when: \"payload['args'][1] > 100\", action: deny, reason: too-much}\n"
        "  - {id: named, when: \"payload['kwargs'].get('note') == 'bad'\", action: deny, reason: bad-note}\n"
    )
    configure(policy=str(policy), state_dir=str(tmp_path / "state"), enforcement_mode="enforce")

    @supervised("refund")
    def refund(order_id: str, amount: int, note: str = "-") -> int:
        return amount

    assert refund("pi_1", 5) == 5
    for call in (lambda: refund("pi_1", 500), lambda: refund("pi_1", 5, note="bad")):
        with pytest.raises(SupervisorBlocked):
            call()
