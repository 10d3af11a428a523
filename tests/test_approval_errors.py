"""Whatever is wrong with an approval: its own error, nothing runs, and the row of the attempt says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from engine import default_guard, rows, settings

from supervisor_guards import (
    ApprovalInvalid,
    ApprovalUsed,
    Guard,
    SupervisorBlocked,
    SupervisorReviewPending,
    approved,
    guarded,
    guarded_async,
    supervised,
    supervised_async,
)
from supervisor_guards._context import Facts, acting
from supervisor_guards.embedded import parts
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

DAY = 86_400_000_000
BOB = Principal("bob")
ran: list[int] = []


def act(amount: int) -> str:
    ran.append(amount)
    return "done"


async def aact(amount: int) -> str:
    ran.append(amount)
    return "done"


DECORATED = {kind: supervised(kind)(act) for kind in ("refund", "transfer")}
ADECORATED = {kind: supervised_async(kind)(aact) for kind in ("refund", "transfer")}


def imperative(kind: str, amount: int) -> str:
    return guarded(kind, {"amount": amount}, act, amount)


async def aimperative(kind: str, amount: int) -> str:
    return await guarded_async(kind, {"amount": amount}, aact, amount)


def decorated(kind: str, amount: int) -> str:
    return DECORATED[kind](amount)


async def adecorated(kind: str, amount: int) -> str:
    return await ADECORATED[kind](amount)


Way = Callable[[str, int], str]


def on(backend: str, call: Any) -> Way:
    def way(kind: str, amount: int) -> str:
        done: str = anyio.run(call, kind, amount, backend=backend)
        return done

    return way


WAYS: dict[str, Way] = {
    "guarded": imperative,
    "decorator": decorated,
    "guarded on asyncio": on("asyncio", aimperative),
    "guarded on trio": on("trio", aimperative),
    "decorator on asyncio": on("asyncio", adecorated),
    "decorator on trio": on("trio", adecorated),
}
EVERY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


class Scene:
    """A held refund of 5,000 by ann, and what may become of it before somebody redeems it."""

    def __init__(self, guard: Guard, way: Way) -> None:
        self.guard = guard
        self.way = way
        self.later = 0
        """Microseconds that the store's clock is ahead."""
        self.held = ""

    @property
    def desk(self) -> ReviewDesk:
        return ReviewDesk(self.guard.supervisor.store)  # type: ignore[attr-defined]

    def hold(self) -> None:
        with acting(Facts(subject="ann")), pytest.raises(SupervisorReviewPending) as caught:
            self.way("refund", 5_000)
        self.held = caught.value.action_id

    def approve(self) -> None:
        self.desk.resolve(self.held, "approved", None, BOB)

    def redeem(self, kind: str = "refund", amount: int = 5_000, subject: str = "ann") -> str:
        with acting(Facts(subject=subject)), approved(self.held):
            return self.way(kind, amount)


def changed_payload(scene: Scene) -> None:
    scene.approve()
    scene.redeem(amount=5_001)


def other_subject(scene: Scene) -> None:
    scene.approve()
    scene.redeem(subject="eve")


def other_action(scene: Scene) -> None:
    scene.approve()
    scene.redeem("transfer")


def pending(scene: Scene) -> None:
    scene.redeem()


def rejected(scene: Scene) -> None:
    scene.desk.resolve(scene.held, "rejected", "no", BOB)
    scene.redeem()


def abandoned(scene: Scene) -> None:
    scene.desk.abandon(scene.held, BOB)
    scene.redeem()


def expired(scene: Scene) -> None:
    scene.later = 2 * DAY
    scene.redeem()


def expired_approval(scene: Scene) -> None:
    scene.approve()
    scene.later = 2 * DAY
    scene.redeem()


def used(scene: Scene) -> None:
    scene.approve()
    scene.redeem()
    ran.clear()
    scene.redeem()


def executed(scene: Scene) -> None:
    with acting(Facts(subject="ann")):
        decision = scene.guard.check("refund", {"amount": 5_000}, on_review="fail_open")
    assert decision.allowed
    scene.held = decision.action_id
    scene.redeem()


def unknown(scene: Scene) -> None:
    scene.held = "no-such-action"
    scene.redeem()


def now_denied(scene: Scene) -> None:
    scene.approve()
    scene.redeem(amount=50_000)


@pytest.fixture
def scene(way: Way, tmp_path: Path) -> Iterator[Scene]:
    ran.clear()
    config = settings(tmp_path, default_on_review="fail_closed")
    url = f"sqlite:///{tmp_path}/.supervisor/decisions.db"
    store = Store(url, clock=lambda: now_us() + made.later)
    supervisor = EmbeddedSupervisor(
        partial(parts.open_policy, config), lambda: store, partial(parts.digest_key, config)
    )
    with default_guard(config, supervisor) as guard:
        made = Scene(guard, way)
        made.hold()
        yield made


@EVERY
@pytest.mark.parametrize(
    ("attempt", "error", "reason", "left"),
    [
        (changed_payload, ApprovalInvalid, "other-content", "approved"),
        (other_subject, ApprovalInvalid, "other-subject", "approved"),
        (other_action, ApprovalInvalid, "other-action", "approved"),
        (pending, ApprovalInvalid, "pending", "pending"),
        (rejected, ApprovalInvalid, "rejected", "rejected"),
        (abandoned, ApprovalInvalid, "abandoned", "abandoned"),
        (expired, ApprovalInvalid, "expired", "expired"),
        (expired_approval, ApprovalInvalid, "expired", "expired"),
        (used, ApprovalUsed, "used", "used"),
        (executed, ApprovalUsed, "already-executed", "executed"),
        (unknown, ApprovalInvalid, "not-found", None),
        (now_denied, SupervisorBlocked, "amount-exceeds-hard-cap", "approved"),
    ],
)
def test_its_own_error_and_nothing_runs(
    attempt: Callable[[Scene], None], error: type, reason: str, left: str | None, scene: Scene
) -> None:
    with pytest.raises(SupervisorBlocked) as caught:
        attempt(scene)
    assert type(caught.value) is error
    assert caught.value.reasons == [reason]
    assert ran == []
    row = rows(scene.guard)[-1]
    assert (row.outcome, row.result, row.enforced) == ("deny" if attempt is now_denied else "review", "not-run", True)
    if attempt is not now_denied:
        assert caught.value.action_id == scene.held
        assert row.action_id != scene.held
    if left is not None:
        assert scene.guard.supervisor.review(scene.held).status == left


@EVERY
def test_what_failed_uses_nothing_up(scene: Scene) -> None:
    scene.approve()
    for attempt in ({"amount": 5_001}, {"subject": "eve"}, {"kind": "transfer"}):
        with pytest.raises(ApprovalInvalid):
            scene.redeem(**attempt)  # type: ignore[arg-type]
    assert scene.redeem() == "done"
    assert ran == [5_000]
    assert [row.result for row in rows(scene.guard)][-1] == "returned"
