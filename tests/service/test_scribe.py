"""Decisions are committed in groups, and one that the database refuses costs nobody else of its group."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from supervisor_guards.embedded.errors import RowsRefused, StoreUnavailable
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.openings import Opening, Written
from supervisor_guards.embedded.rows import DecisionRow, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.database import open_database
from supervisor_guards.service.scribe import Fate, Item, Scribe
from tests.service.serving import PATIENCE, Running, body, new_name, serving

NOW = now_us()
DIRECT: dict[str, Any] = {"trust_env": False, "timeout": PATIENCE}
SEALER = Sealer(b"k" * 32, "key-1")


def item(action_id: str, time: int | None = None, opening: Opening | None = None) -> Item:
    outcome = "allow" if opening is None else "review"
    row = DecisionRow(
        action_id=action_id,
        time=now_us() if time is None else time,
        action_type="refund",
        mode="enforce",
        enforced=True,
        outcome=outcome,
    )
    return row, opening


@pytest.fixture
def store(service_url: str) -> Iterator[Store]:
    opened = open_database(service_url, SEALER)
    yield opened
    opened.close()


def written(store: Store, *callers: list[Item]) -> tuple[list[list[Fate] | BaseException], list[int]]:
    """What each of them got who waited for one group, and the sizes of the groups."""
    groups: list[int] = []

    async def run() -> list[list[Fate] | BaseException]:
        scribe = Scribe(store, lambda rows, _seconds, _waiting: groups.append(rows))
        waiting = [asyncio.ensure_future(scribe.write(items)) for items in callers]
        await asyncio.sleep(0)  # all of them wait before there is anybody to write
        scribe.start()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await scribe.stop()
        return answers

    return asyncio.run(run()), groups


def test_a_commit_that_can_not_be_counted_is_answered_and_others_follow(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_figures: object) -> None:
        raise OSError("no space left on device")

    async def run() -> list[list[Fate]]:
        scribe = Scribe(store, full)
        scribe.start()
        answers = [await asyncio.wait_for(scribe.write([item(name)]), PATIENCE) for name in ("first", "second")]
        await scribe.stop()
        return answers

    assert [[isinstance(fate, Written) for fate in fates] for fates in asyncio.run(run())] == [[True], [True]]
    assert "a commit of 1 decisions can't be counted" in caplog.text


def test_a_row_that_the_database_refuses_fails_alone(store: Store) -> None:
    bad = item("bad", 2**70)  # no column holds it
    callers = [[item(f"a{number}")] for number in range(9)]
    mixed = [item("b1"), item("worse", 2**70, Opening(NOW)), item("b2", opening=Opening(NOW + 10**12))]
    answers, groups = written(store, *callers[:4], [bad], *callers[4:], mixed)
    assert groups == [13]
    (refused,) = answers.pop(4)  # type: ignore[misc]
    assert isinstance(refused, RowsRefused)
    first, second, third = answers.pop()  # type: ignore[misc]
    assert (first, third) == (Written(None, True), Written("b2", True))
    assert isinstance(second, RowsRefused)
    assert answers == [[Written(None, True)]] * 9
    assert sorted(row.action_id for row in store.decisions()) == [*(f"a{number}" for number in range(9)), "b1", "b2"]
    assert [case.action_id for case in store.reviews()] == ["b2"]
    assert store.totals(NOW, by=())[0].decisions == 11
    assert store.verify([SEALER]).findings == ()


def test_a_database_that_is_gone_is_not_asked_again_for_each_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()
    asked: list[int] = []
    write_all = store.write_all
    monkeypatch.setattr(store, "write_all", lambda items: (asked.append(len(items)), write_all(items))[1])
    answers, _ = written(store, [item("a1")], [item("a2")], [item("a3"), item("a4")])
    assert asked == [4]
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3


# Over the API, where the database refuses what nobody foresaw

REFUSED = {
    "sqlite": "CREATE TRIGGER odd BEFORE INSERT ON sg_decisions WHEN NEW.subject = 'odd' "
    "BEGIN SELECT RAISE(ABORT, 'no such subjects'); END",
    "postgresql": "ALTER TABLE sg_decisions ADD CONSTRAINT odd CHECK (subject <> 'odd')",
}


@pytest.fixture
def picky(service_url: str, tmp_path: Path) -> Iterator[Running]:
    """A service whose database takes no decision on the subject `odd`."""
    with serving(service_url, tmp_path / "state") as one:
        statement = REFUSED[service_url.partition(":")[0]]
        one.service.store.transact(lambda held, _note: held.execute(text(statement)))
        yield one


def test_only_who_sent_it_is_refused(picky: Running) -> None:
    with picky.integration().client(picky.base_url) as http:
        asked = [body(1, id="b-1"), body(1, id="b-2", subject="odd"), body(50, id="b-3"), body(500, id="b-4")]
        told = http.post("/v1/actions/evaluate/batch", json={"items": asked}).raise_for_status().json()["items"]
        assert [one.get("decision") for one in told] == ["allow", None, "review", "deny"]
        assert (told[1]["id"], told[1]["error"]["status"]) == ("b-2", 422)
        assert "takes no such values" in str(told[1]["error"]["detail"])
        assert {one["action_id"] for one in http.get("/v1/actions/recent").json()} == {"b-1", "b-3", "b-4"}

        alone = http.post("/v1/actions/evaluate", json=body(1, id="b-5", subject="odd"))
        assert alone.status_code == 422
        assert "decision" not in alone.json()
        # A published client raises into its application for any error: its shadow calls run.
        shadow = http.post("/v1/actions/evaluate", json=body(500, subject="odd", shadow=True)).raise_for_status().json()
        assert shadow["reasons"] == ["not evaluated: the database takes no such values"]


def test_many_callers_at_once_with_one_that_is_refused(picky: Running) -> None:
    caller = picky.integration()

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=picky.base_url, headers=caller.headers, **DIRECT) as http:
            bodies = [body(1, id=f"c-{number}", subject="odd" if number % 7 == 3 else "even") for number in range(40)]
            return await asyncio.gather(*(http.post("/v1/actions/evaluate", json=one) for one in bodies))

    answers = asyncio.run(ask())
    assert [one.status_code for one in answers] == [422 if number % 7 == 3 else 200 for number in range(40)]
    assert {one.json()["decision"] for one in answers if one.status_code == 200} == {"allow"}


def test_names_that_no_index_holds_are_refused_before(running: Running, http: httpx.Client) -> None:
    letters = random.Random(1)
    wide = ["".join(chr(letters.randrange(0x10000, 0x10FFFF)) for _ in range(512)) for _ in range(2)]
    answer = http.post("/v1/actions/evaluate", json=body(1, wide[0], route=wide[1]))
    assert answer.status_code == 422
    assert "1024 bytes" in answer.text
    fits = [name[:256] for name in wide]
    told = http.post("/v1/actions/evaluate", json=body(1, fits[0], route=fits[1], id=new_name("w"))).raise_for_status()
    assert told.json()["decision"] == "deny"  # no policy covers it
