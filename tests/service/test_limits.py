"""How many actions an integration may have judged in a minute: one limit for all processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.database import open_database
from supervisor_guards.service.limits import BLOCKS, Limiter
from supervisor_guards.service.principals import Integration
from supervisor_guards.service.schema import windows
from tests.service.serving import Running, body, new_name, serving, two_processes

EVALUATE = "/v1/actions/evaluate"
NOON = 1_800_000_000.0


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def integration(per_minute: int | None = None) -> Integration:
    name = new_name("i")
    return Integration(name, name, ("*",), per_minute=per_minute)


async def taken(limiter: Limiter, who: Integration, tries: int) -> int:
    """How many of so many at once are let through."""
    return (await asyncio.gather(*(limiter.take(who) for _ in range(tries)))).count(0)


@pytest.fixture
def stores(service_url: str) -> Any:
    opened = [open_database(service_url, Sealer.unsigned()) for _ in range(2)]
    yield opened
    for store in opened:
        store.close()


@pytest.mark.parametrize("limit", [1, 7, 100, 1_000])
def test_the_limit_is_exact_over_processes(stores: list[Store], limit: int) -> None:
    async def run() -> list[int]:
        clock, who = Clock(), integration(limit)
        limiters = [Limiter(store, 0, clock) for store in stores]
        return list(await asyncio.gather(*(taken(limiter, who, 2 * limit) for limiter in limiters)))

    assert sum(asyncio.run(run())) == limit


def test_what_a_process_claimed_and_did_not_use_is_the_precision(stores: list[Store]) -> None:
    async def run() -> int:
        clock, who = Clock(), integration(100)
        idle, busy = (Limiter(store, 0, clock) for store in stores)
        await idle.take(who)
        return await taken(busy, who, 200)

    assert asyncio.run(run()) == 100 - 100 // BLOCKS


def test_a_block_is_one_write_and_a_refusal_none(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    transact = stores[0].transact
    monkeypatch.setattr(stores[0], "transact", lambda work: writes.append(1) or transact(work))

    async def run() -> None:
        clock, who = Clock(), integration(1_000)
        limiter = Limiter(stores[0], 0, clock)
        assert await taken(limiter, who, 3_000) == 1_000

    asyncio.run(run())
    assert len(writes) == BLOCKS + 1  # the last one finds that nothing is left


def test_the_next_minute_begins_anew_and_old_ones_are_deleted(stores: list[Store]) -> None:
    async def run() -> None:
        clock, who = Clock(), integration(3)
        limiter = Limiter(stores[0], 0, clock)
        clock.now = NOON + 12.5
        assert [await limiter.take(who) for _ in range(4)] == [0, 0, 0, 48]
        clock.now = NOON + 59.9
        assert await limiter.take(who) == 1
        clock.now = NOON + 60
        assert await taken(limiter, who, 9) == 3
        clock.now = NOON + 7_200
        assert await taken(limiter, who, 9) == 3

    asyncio.run(run())
    with stores[0].reading() as held:
        assert len(held.execute(select(windows)).all()) == 1


def test_a_batch_is_let_through_as_a_whole_or_not_at_all(stores: list[Store]) -> None:
    async def run() -> list[int]:
        clock, who = Clock(), integration(10)
        limiter = Limiter(stores[0], 0, clock)
        return [int(await limiter.take(who, count) > 0) for count in (6, 6, 4, 1, 0)]

    assert asyncio.run(run()) == [0, 1, 0, 1, 0]


def test_a_batch_above_the_limit_takes_a_whole_minute(stores: list[Store]) -> None:
    async def run() -> list[int]:
        clock, who = Clock(), integration(10)
        limiter = Limiter(stores[0], 0, clock)
        return [int(await limiter.take(who, count) > 0) for count in (256, 1)]

    assert asyncio.run(run()) == [0, 1]


def test_without_a_limit_nothing_is_counted(stores: list[Store]) -> None:
    async def run() -> tuple[int, int, int]:
        limited, free = Limiter(stores[0], 5, Clock()), Limiter(stores[0], 0, Clock())
        return (
            await taken(limited, integration(), 9),
            await taken(limited, integration(0), 9),
            await taken(free, integration(), 9),
        )

    assert asyncio.run(run()) == (5, 9, 9)
    with stores[0].reading() as held:
        assert len(held.execute(select(windows)).all()) == 1


def test_answers_above_the_limit(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state", per_minute=3) as running:
        running.service.limiter = Limiter(running.service.store, 3, Clock())
        caller, other = running.integration(), running.integration(per_minute=4)
        with caller.client(running.base_url) as http, other.client(running.base_url) as free:
            assert [http.post(EVALUATE, json=body(1)).status_code for _ in range(4)] == [200, 200, 200, 429]
            refused = http.post(EVALUATE, json=body(500))
            assert refused.headers["retry-after"] == "60"
            assert refused.json() == {"detail": "more than 3 actions a minute: try again in 60 s"}
            dry = http.post(f"{EVALUATE}?dry_run=true", json=body(1))
            batch = http.post(f"{EVALUATE}/batch", json={"items": [body(1)]})
            known = http.post(EVALUATE, json=body(1, shadow=True, id="told-again-later"))
            assert [answer.status_code for answer in (dry, batch, known)] == [429] * 3
            shadow = http.post(EVALUATE, json=body(500, shadow=True))
            assert shadow.status_code == 200
            assert (shadow.json()["decision"], shadow.json()["shadow_would_have"]) == ("allow", None)
            assert shadow.json()["reasons"] == ["not evaluated: more than 3 actions a minute: try again in 60 s"]
            assert len(http.get("/v1/actions/recent").json()) == 3
            assert [free.post(EVALUATE, json=body(1)).status_code for _ in range(5)] == [200] * 4 + [429]


def test_two_processes_share_the_limit(service_url: str, tmp_path: Path) -> None:
    with two_processes(service_url, tmp_path / "state") as both:
        for one in both:
            one.service.limiter = Limiter(one.service.store, 0, Clock())
        caller = both[0].integration(per_minute=6)
        answers: list[httpx.Response] = []
        with caller.client(both[0].base_url) as here, caller.client(both[1].base_url) as there:
            for _ in range(6):
                answers += [http.post(EVALUATE, json=body(1)) for http in (here, there)]
        assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 6


def test_a_changed_limit_counts_at_once(running: Running, shop: Any, admin: httpx.Client) -> None:
    with shop.client(running.base_url) as http:
        assert http.post(EVALUATE, json=body(1)).status_code == 200
        admin.patch(f"/v1/integrations/{shop.id}", json={"per_minute": 1}).raise_for_status()
        limits = {http.post(EVALUATE, json=body(1)).status_code for _ in range(3)}
        assert 429 in limits
