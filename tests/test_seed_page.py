"""The published page's promises, one by one, on the embedded supervisor: wrapping, errors, what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from supervisor_guards import (
    SupervisorBlocked,
    SupervisorReviewPending,
    configure,
    guarded,
    supervised,
)
from tests.seed_page import DENIED, FINE, REVIEWED, Stripe, page_folder, refund, refunder, rows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with page_folder(tmp_path, monkeypatch) as path:
        yield path


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
