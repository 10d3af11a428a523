"""A store that an earlier release made is upgraded when it is opened, and loses nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from supervisor_guards._desk import ReviewQuery
from supervisor_guards.embedded import opening
from supervisor_guards.embedded.store import Store


def at_revision(url: str, revision: str) -> None:
    """Make the store of an earlier release at `url`."""
    parsed = opening.parse(url)
    if parsed.get_backend_name() == "sqlite":
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = opening.connect(parsed)
    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).with_name("migrations")))
    with engine.begin() as held:
        config.attributes["connection"] = held
        command.upgrade(config, revision)
        held.execute(
            text(
                "INSERT INTO sg_decisions (action_id, time, app_id, action_type, mode, enforced, outcome, status, "
                "reasons, rule_ids, hits, latency_us, segment, mac, case_id) VALUES ('a1', 7, 'shop', 'refund', "
                "'enforce', true, 'review', 'evaluated', '[]', '[]', '[]', 1, 1, '', 'a1')"
            )
        )
        held.execute(
            text(
                "INSERT INTO sg_reviews (action_id, created_at, expires_at, status, action_type, reasons, segment) "
                "VALUES ('a1', 7, 9000000000000000, 'pending', 'refund', '[]', 1)"
            )
        )
        held.execute(text("INSERT INTO sg_drops (time, count, reason) VALUES (7, 3, 'queue-full')"))
    engine.dispose()


def test_a_store_of_the_first_release_keeps_its_reviews_and_learns_whose_they_are(new_store_url: str) -> None:
    at_revision(new_store_url, "0001")

    store = Store(new_store_url)

    review = store.case("a1")
    assert (review.app_id, review.status, review.created_at, review.priority) == ("shop", "pending", 7, "normal")
    assert store.queue(ReviewQuery(priority="normal"), 50, None).rows == (review,)
    assert store.resolve("a1", "approved", "ann").status == "approved"
    assert store.dropped(0) == 3
    store.close()


def test_what_comes_after_the_upgrade_gets_numbers_of_its_own(new_store_url: str) -> None:
    from supervisor_guards.embedded.ledger import DecisionRow

    at_revision(new_store_url, "0001")
    store = Store(new_store_url)
    row = DecisionRow(
        action_id="a2", time=8, app_id="shop", action_type="refund", mode="enforce", enforced=True, outcome="review"
    )

    store.write_with_review(row, 9_000_000_000_000_000)

    assert store.case("a2").id > store.case("a1").id
    store.close()
