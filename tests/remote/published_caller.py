"""Calls a supervisor with the published package 0.3.0; run by the interpreter of that package's environment.

`published_caller.py BASE_URL APP_ID SECRET` prints one JSON object: what each step below came to. Nothing of ours is
imported, and of the published package its documented interface alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from supervisor_guards import (
    SupervisorBlocked,
    SupervisorReviewPending,
    configure,
    get_client,
    guarded,
    observing,
    supervised,
    supervised_async,
)

RAN: list[int] = []


@supervised("refund", payload=lambda amount: {"amount": amount})
def refund(amount: int) -> str:
    RAN.append(amount)
    return "ran"


@supervised_async("refund", payload=lambda amount: {"amount": amount})
async def arefund(amount: int) -> str:
    RAN.append(amount)
    return "ran"


def came_to(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return call(*arguments, **options)
    except SupervisorBlocked as error:
        return ["blocked", error.decision, list(error.reasons)]
    except SupervisorReviewPending as error:
        return ["pending", list(error.reasons)]
    except Exception as error:
        return ["error", str(error)]


def main(base_url: str, app_id: str, secret: str) -> dict[str, Any]:
    """Every step, in order."""

    def configured(mode: str, key: str = secret) -> None:
        configure(
            base_url=base_url, app_id=app_id, shared_secret=key, scopes=["*"], enforcement_mode=mode,
            review_poll_interval_seconds=0.01, review_timeout_seconds=30.0,
        )  # fmt: skip

    came: dict[str, Any] = {}
    configured("enforce")
    came["allow"] = came_to(refund, 1)
    came["deny"] = came_to(refund, 500)
    came["async deny"] = came_to(lambda: asyncio.run(arefund(500)))
    came["approved"] = came_to(refund, 50)
    came["rejected"] = came_to(refund, 51)
    came["held"] = came_to(guarded, "refund", {"amount": 52}, lambda: "ran", on_review="fail_closed")
    with observing(user_id="u-1"):
        came["observed"] = came_to(refund, 2)
    client = get_client()
    dry = client.evaluate("refund", {"amount": 53}, dry_run=True)
    came["dry run"] = [dry.action_id, dry.decision, list(dry.reasons)]
    [pending] = client.list_reviews(status="pending")
    came["pending"] = [pending.action_type, pending.status, client.get_review(pending.id)["action_payload"]]
    came["resolve"] = came_to(lambda: client.resolve_review(pending.id, "approved", "fine", "ada")["status"])
    came["no review"] = came_to(client.get_review, "none")
    evidence = client.get_evidence(pending.action_id)
    came["evidence"] = [evidence["action_type"], evidence["chain_ok"], len(evidence["events"])]
    came["types"] = [kind["id"] for kind in client.list_action_types()]
    configured("shadow")
    came["shadow deny"] = came_to(refund, 501)
    came["shadow review"] = came_to(refund, 54)
    configured("enforce", "another secret, and also a long one")
    came["wrong secret"] = came_to(refund, 3)
    came["ran"] = RAN
    return came


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    print(json.dumps(main(*sys.argv[1:])))
