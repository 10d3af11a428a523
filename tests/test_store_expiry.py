"""Reviews that nobody decided in time end in batches: each once, however many end them, and others write meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from test_store_processes import start

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.openings import Opening
from supervisor_guards.embedded.rows import DecisionRow, Event
from supervisor_guards.embedded.schema import decisions, events, segments
from supervisor_guards.embedded.store import Store

START = 1_800_000_000_000_000
HOUR = 3_600_000_000
SEALER = Sealer(b"k" * 32, "key-1")


def row(name: str, time: int = START, outcome: str = "review") -> DecisionRow:
    return DecisionRow(
        action_id=name, time=time, action_type="refund", mode="enforce", enforced=True, outcome=outcome, digest=name
    )


def open_reviews(store: Store, count: int) -> None:
    """Reviews that end one after the other, an hour later, the last one first."""
    store.write_all([(row(f"a{number}"), Opening(START + HOUR - number)) for number in range(count)])


def ended(store: Store) -> list[tuple[str, int]]:
    """Whose end is in the record, and in which segment, in its order."""
    query = select(events.c.action_id, events.c.segment).where(events.c.kind == "expired").order_by(events.c.id)
    with store.reading() as held:
        return [(found.action_id, found.segment) for found in held.execute(query)]


@pytest.fixture
def store(store_url: str, store_clock: Any) -> Iterator[Store]:
    opened = Store(store_url, clock=store_clock, sealer=SEALER)
    yield opened
    opened.close()


def test_many_end_a_batch_at_a_time_who_waited_longest_first(store: Store, store_clock: Any) -> None:
    open_reviews(store, 30)
    store.resolve("a3", "approved", "ann")
    store.resolve("a7", "rejected", "ann")
    store_clock.now = START + 2 * HOUR
    store.expire_due(batch=10)
    with store.reading() as held:
        sizes = held.execute(
            select(func.count()).where(events.c.kind == "expired").group_by(events.c.segment)
        ).scalars()
        assert sorted(sizes) == [9, 10, 10]
    pending = [f"a{number}" for number in reversed(range(30)) if number not in (3, 7)]
    assert [name for name, _ in ended(store)] == [*pending, "a3"]
    assert {case.action_id for case in store.reviews("expired")} == {*pending, "a3"}
    assert store.review("a7").status == "rejected"
    assert store.waiting() == 0
    assert store.verify([SEALER]).findings == ()


@pytest.mark.parametrize(
    "look",
    [
        lambda store: store.reviews(),
        lambda store: store.waiting(),
        lambda store: store.reviews_named("a"),
        lambda store: store.purge_some(START - HOUR),
    ],
    ids=["list", "count", "name", "purge"],
)
def test_whoever_looks_ends_all_of_them_in_bounded_transactions(
    store: Store, store_clock: Any, look: Callable[[Store], Any]
) -> None:
    open_reviews(store, 600)
    store_clock.now = START + 2 * HOUR
    look(store)
    assert len(ended(store)) == 600
    with store.reading() as held:
        largest = held.execute(select(func.max(segments.c.events))).scalar_one()
    assert largest == 500


def test_two_processes_end_each_review_once(store: Store, store_url: str) -> None:
    open_reviews(store, 1_300)
    script = """
    from supervisor_guards.embedded.evidence import Sealer
    store = Store(url, sealer=Sealer(b"k" * 32, "key-1"), clock=lambda: 1_900_000_000_000_000)
    print("ready", flush=True)
    sys.stdin.readline()
    store.expire_due()
    store.close()
    """
    both = [start(script, store_url) for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    assert [one.communicate()[1] for one in both] == ["", ""]
    assert sorted(name for name, _ in ended(store)) == sorted(f"a{number}" for number in range(1_300))
    assert store.verify([SEALER]).findings == ()


@pytest.mark.parametrize("apart", [False, True], ids=["same store", "another store"])
def test_others_write_while_many_end(store: Store, store_url: str, store_clock: Any, apart: bool) -> None:
    under_way = threading.Event()

    def within(held: Connection, added: Sequence[DecisionRow], happened: Sequence[Event]) -> None:
        if happened and happened[0].kind == "expired":
            under_way.set()  # in a transaction: whoever writes now has to wait

    open_reviews(store, 400)
    store_clock.now = START + 2 * HOUR
    with closing(Store(store_url, clock=store_clock, sealer=SEALER, within=within)) as ending:
        other = store if apart else ending

        def write() -> None:
            under_way.wait()
            other.write_all([(row("meanwhile", store_clock.now, "allow"), None)])

        writer = threading.Thread(target=write)
        writer.start()
        ending.expire_due(batch=10)
        writer.join()
    ends = [segment for _, segment in ended(store)]
    with store.reading() as held:
        theirs = held.execute(select(decisions.c.segment).where(decisions.c.action_id == "meanwhile")).scalar_one()
    assert ends[0] < theirs < ends[-1]
    assert store.verify([SEALER]).findings == ()
