"""Whatever is done to the record behind the guard's back, `verify` finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor_guards._model import Hit
from supervisor_guards.embedded.anchors import Anchor
from supervisor_guards.embedded.evidence import Link, Sealer
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store
from supervisor_guards.embedded.transitions import Claim
from supervisor_guards.embedded.verification import Report

START = 1_800_000_000_000_000
HOUR = 3_600_000_000
KEY = Sealer(b"k" * 32, "key-1")


def row(number: int, **changes: Any) -> DecisionRow:
    fields: dict[str, Any] = {
        "action_id": f"action-{number:03}", "time": START + number, "action_type": "refund", "digest": f"d{number}",
        "subject": "user:7", "mode": "enforce", "enforced": True, "outcome": "deny", "payload": '{"amount":20}',
    }  # fmt: skip
    return DecisionRow(**{**fields, **changes})


class Record:
    """A store with nine segments, of decisions, results and reviews; and a hand that writes past it."""

    def __init__(self, url: str, clock: Any) -> None:
        self.url, self.clock = url, clock
        self.store = Store(url, clock=clock, sealer=KEY)
        self.store.write([row(number) for number in range(5)])
        self.store.write([row(5)])
        self.store.write([row(6), row(7)], [("action-005", "raised")])
        for number, priority in ((10, "low"), (11, "high")):
            hits = (Hit("look", "review", "odd", "", priority),)
            self.store.write_with_review(row(number, outcome="review", hits=hits), START + HOUR, "ann")
        self.store.resolve("action-010", "approved", "bob", "fine")
        self.store.redeem("action-010", Claim("d10", "user:7"))
        self.store.resolve("action-011", "rejected", "bob")
        self.store.write([row(12)])
        self.engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

    def tamper(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                assert connection.exec_driver_sql(statement).rowcount, statement

    def read(self, query: str) -> Any:
        with self.engine.begin() as connection:
            return connection.exec_driver_sql(query).fetchall()

    def verify(self, *anchors: Anchor, keys: tuple[Sealer, ...] = (KEY,)) -> Report:
        return self.store.verify(keys, anchors)

    def findings(self, *anchors: Anchor) -> set[str]:
        return {finding.kind for finding in self.verify(*anchors).findings}


@pytest.fixture
def record(store_url: str, store_clock: Any) -> Iterator[Record]:
    record = Record(store_url, store_clock)
    yield record
    record.store.close()
    record.engine.dispose()


def test_an_untouched_record_verifies(record: Record) -> None:
    anchor = record.store.anchor()
    report = record.verify(anchor)  # type: ignore[arg-type]
    assert report.findings == ()
    assert (report.decisions, report.events, report.segments) == (11, 6, 9)
    assert report.end == Link(anchor.segment, anchor.head)  # type: ignore[union-attr]


REST = "time, app_id, action_type, mode, enforced, outcome, status, reasons, rule_ids, hits, latency_us, mac"
TAMPERED: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "an edited row": (
        ("UPDATE sg_decisions SET outcome = 'allow' WHERE action_id = 'action-005'",),
        {"edited"},
    ),
    "an edited payload": (
        ("""UPDATE sg_decisions SET payload = '{"amount":1}' WHERE action_id = 'action-003'""",),
        {"edited"},
    ),
    "a deleted row": (
        ("DELETE FROM sg_decisions WHERE action_id = 'action-002'",),
        {"deleted", "chain-broken"},
    ),
    "a deleted row, with the count": (
        (
            "DELETE FROM sg_decisions WHERE action_id = 'action-002'",
            "UPDATE sg_segments SET decisions = 4 WHERE segment = 1",
        ),
        {"chain-broken"},
    ),
    "a deleted segment": (
        ("DELETE FROM sg_decisions WHERE segment = 2", "DELETE FROM sg_segments WHERE segment = 2"),
        {"missing-segments"},
    ),
    "the first segment gone": (
        ("DELETE FROM sg_decisions WHERE segment = 1", "DELETE FROM sg_segments WHERE segment = 1"),
        {"missing-segments"},
    ),
    "a back-dated row": (
        (f"UPDATE sg_decisions SET time = time - {24 * HOUR} WHERE action_id = 'action-005'",),
        {"edited", "back-dated"},
    ),
    "a back-dated segment": (
        (f"UPDATE sg_segments SET time = time - {24 * HOUR} WHERE segment = 4",),
        {"back-dated", "chain-broken"},
    ),
    "two segments swapped": (
        (
            "UPDATE sg_decisions SET segment = -2 WHERE segment = 2",
            "UPDATE sg_decisions SET segment = 2 WHERE segment = 9",
            "UPDATE sg_decisions SET segment = 9 WHERE segment = -2",
        ),
        {"edited", "deleted", "added", "chain-broken"},
    ),
    "two heads swapped": (
        (
            "UPDATE sg_segments SET segment = -2 WHERE segment = 2",
            "UPDATE sg_segments SET segment = 2 WHERE segment = 9",
            "UPDATE sg_segments SET segment = 9 WHERE segment = -2",
        ),
        {"chain-broken"},
    ),
    "a row of nobody's": (
        (f"INSERT INTO sg_decisions (action_id,segment,{REST}) SELECT 'x', 77, {REST} FROM sg_decisions WHERE id=1",),
        {"added"},
    ),
    "an edited event": (
        ("UPDATE sg_events SET actor = 'mallory' WHERE kind = 'approved'",),
        {"edited", "review"},
    ),
    "an edited result": (
        ("UPDATE sg_events SET kind = 'returned' WHERE kind = 'raised'",),
        {"edited"},
    ),
    "a deleted rejection": (
        ("DELETE FROM sg_events WHERE kind = 'rejected'",),
        {"deleted", "chain-broken", "review"},
    ),
    "an edited review": (
        ("UPDATE sg_reviews SET status = 'approved' WHERE action_id = 'action-011'",),
        {"review"},
    ),
    "a review put at the end of the queue": (
        ("UPDATE sg_reviews SET priority = 3 WHERE action_id = 'action-011'",),
        {"review"},
    ),
    "a review with a priority that isn't one": (
        ("UPDATE sg_reviews SET priority = 77 WHERE action_id = 'action-010'",),
        {"review"},
    ),
    "rules that can't be read any more": (
        ("UPDATE sg_decisions SET hits = 'gone' WHERE action_id = 'action-011'",),
        {"edited", "review"},
    ),
    "a review for other content": (
        ("UPDATE sg_reviews SET digest = 'other' WHERE action_id = 'action-011'",),
        {"review"},
    ),
    "a review that opened unseen": (
        ("UPDATE sg_reviews SET action_id = 'action-007' WHERE action_id = 'action-011'",),
        {"review"},
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_done_to_the_record_is_found(record: Record, name: str) -> None:
    statements, kinds = TAMPERED[name]
    record.tamper(*statements)
    assert record.findings() >= kinds


def test_findings_name_the_action(record: Record) -> None:
    record.tamper("UPDATE sg_decisions SET outcome = 'allow' WHERE action_id = 'action-005'")
    (finding,) = record.verify().findings
    assert (finding.kind, finding.segment) == ("edited", 2)
    assert "action-005" in finding.detail


TRUNCATE = (
    "DELETE FROM sg_decisions WHERE segment = 9",
    "DELETE FROM sg_segments WHERE segment = 9",
)


def test_a_truncated_end_is_found_with_an_anchor_alone(record: Record) -> None:
    anchor = record.store.anchor()
    assert anchor is not None
    record.tamper(*TRUNCATE)
    assert record.findings() == set()
    assert record.findings(anchor) == {"missing-end"}
    record.store.write([row(20)])
    assert "anchor-mismatch" in record.findings(anchor), "written anew after the cut"


def test_a_chain_recomputed_without_the_key_is_found(record: Record) -> None:
    """Somebody who knows how it is made, and lacks the key, makes all of it again."""
    forger = Sealer(b"guess", KEY.key_id)
    record.tamper("UPDATE sg_decisions SET outcome = 'allow' WHERE action_id = 'action-005'")
    from supervisor_guards.embedded.rows import COLUMNS

    link = Link(1, record.read("SELECT head FROM sg_segments WHERE segment = 1")[0][0])
    (values,) = record.read(f"SELECT {', '.join(COLUMNS)} FROM sg_decisions WHERE segment = 2")
    values = [bool(value) if name == "enforced" else value for name, value in zip(COLUMNS, values, strict=True)]
    mac = forger.decision(2, values)
    (time,) = record.read("SELECT time FROM sg_segments WHERE segment = 2")[0]
    head = forger.link(link, time, [mac], []).head
    record.tamper(
        f"UPDATE sg_decisions SET mac = '{mac}' WHERE segment = 2",
        f"UPDATE sg_segments SET head = '{head}' WHERE segment = 2",
    )
    assert record.findings() == {"edited", "chain-broken"}
    assert {finding.kind for finding in record.verify(keys=(forger,)).findings} >= {"edited"}


def test_an_approval_written_into_the_database_opens_nothing(record: Record) -> None:
    from supervisor_guards.errors import ApprovalInvalid

    record.store.write_with_review(row(30, outcome="review"), START + HOUR)
    record.tamper("UPDATE sg_reviews SET status = 'approved', approver = 'bob' WHERE action_id = 'action-030'")
    with pytest.raises(ApprovalInvalid, match="approval-not-authentic"):
        record.store.redeem("action-030", Claim("d30", "user:7"))
    record.tamper(
        "INSERT INTO sg_events (action_id, time, kind, actor, segment, mac)"
        " SELECT 'action-030', time, kind, actor, segment, mac FROM sg_events WHERE kind = 'approved'"
    )
    with pytest.raises(ApprovalInvalid, match="approval-not-authentic"):
        record.store.redeem("action-030", Claim("d30", "user:7"))


def test_a_key_that_is_not_here_and_none_at_all_are_said(record: Record) -> None:
    other = Store(record.url, clock=record.clock, sealer=Sealer(b"x" * 32, "key-2"))
    other.write([row(40)])
    other.close()
    unsigned = Store(record.url, clock=record.clock)
    unsigned.write([row(41)])
    unsigned.close()
    assert record.findings() == {"unknown-key", "unsigned"}
    both = record.verify(keys=(KEY, Sealer(b"x" * 32, "key-2")))
    assert {finding.kind for finding in both.findings} == {"unsigned"}


def test_several_writers_make_one_chain(store_url: str) -> None:
    stores = [Store(store_url, sealer=KEY) for _ in range(3)]
    for number in range(30):
        stores[number % 3].write([row(number, time=stores[0]._clock())])
    report = stores[0].verify([KEY])
    assert (report.segments, report.decisions, report.findings) == (30, 30, ())
    for store in stores:
        store.close()


def test_retention_leaves_a_tombstone_that_verifies(record: Record) -> None:
    anchors = [anchor for anchor in (record.store.anchor(),) if anchor is not None]
    record.clock.now += 2 * HOUR
    record.store.write([row(50, time=record.clock.now)])
    assert record.store.purge(START + HOUR, batch=3) == 11 + 6 + 2
    report = record.verify(*anchors)
    assert report.findings == (), "an anchor of what retention deleted is no finding"
    assert (report.decisions, report.purged) == (1, 11)
    assert record.store.purge(record.clock.now + 1) == 1
    record.store.write([row(51, time=record.clock.now)])
    assert record.verify(*anchors).findings == (), "the chain goes on after all of it went"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE sg_tombstones SET decisions = 1", "tombstone"),
        ("UPDATE sg_tombstones SET segment = segment + 1", "tombstone"),
        ("DELETE FROM sg_tombstones", "missing-segments"),
    ],
)
def test_a_forged_tombstone_is_found(record: Record, statement: str, kind: str) -> None:
    record.clock.now += 2 * HOUR
    for number in (50, 51):
        record.store.write([row(number, time=record.clock.now)])
    record.store.purge(START + HOUR)
    record.tamper(statement)
    assert kind in record.findings()


def test_retention_waits_for_an_open_review(record: Record) -> None:
    record.store.write_with_review(row(60, outcome="review"), START + 9 * HOUR)
    record.clock.now += 2 * HOUR
    record.store.purge(record.clock.now)
    assert [found.action_id for found in record.store.decisions()] == ["action-060"]
    assert record.findings() == set()


COLUMN_VALUES = st.one_of(st.none(), st.integers(0, 9), st.text(st.characters(codec="utf-8"), max_size=5))
EDITABLE = [
    "app_id", "route", "subject", "mode", "outcome", "would_have", "status", "reasons", "rule_ids", "hits",
    "policy_name", "policy_version", "policy_hash", "payload", "context", "digest", "result", "case_id", "mac",
]  # fmt: skip


@pytest.fixture
def edited(tmp_path: Any) -> Iterator[Callable[[str, int, str], tuple[str, set[str]]]]:
    url = f"sqlite:///{tmp_path}/.supervisor/edited.db"
    store = Store(url, clock=lambda: START, sealer=KEY)
    store.write([row(number) for number in range(4)])
    engine = sa.create_engine(url)

    def edit(column: str, number: int, value: str) -> tuple[str, set[str]]:
        with engine.connect() as connection, connection.begin() as transaction:
            query = f"SELECT {column} FROM sg_decisions WHERE action_id = 'action-{number:03}'"
            was = connection.exec_driver_sql(query).scalar()
            connection.exec_driver_sql(
                f"UPDATE sg_decisions SET {column} = ? WHERE action_id = 'action-{number:03}'", (value,)
            )
            transaction.commit()
        try:
            return was, {finding.kind for finding in store.verify([KEY]).findings}
        finally:
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    f"UPDATE sg_decisions SET {column} = ? WHERE action_id = 'action-{number:03}'", (was,)
                )

    yield edit
    store.close()
    engine.dispose()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(EDITABLE),
    st.integers(0, 3),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)
def test_no_edit_of_any_column_passes(edited: Any, column: str, number: int, value: str) -> None:
    was, kinds = edited(column, number, value)
    assert (kinds == set()) == (was == value)
