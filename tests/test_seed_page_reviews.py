"""The published page's promises about reviews, one by one, on the embedded supervisor."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from supervisor_guards import (
    ConfigurationError,
    ReviewRejected,
    SupervisorBlocked,
    SupervisorReviewPending,
    configure,
    get_client,
    supervised,
)
from tests.seed_page import REVIEWED, Stripe, page_folder, refund, refunder, rows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with page_folder(tmp_path, monkeypatch) as path:
        yield path


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
