"""A PostgreSQL database of the service with a long history, and what its planner does there, undisturbed.

SQLite's plans hang on no statistics; PostgreSQL's do, so there must be rows enough that an index is worth it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection

from supervisor_guards.embedded.openings import Opening
from supervisor_guards.embedded.rows import DecisionRow, now_us
from supervisor_guards.embedded.schema import reviews
from supervisor_guards.embedded.store import Store
from tests.statements import statements

NOW_US = now_us()
REVIEWS, DECISIONS, MINUTES, POLICIES, DELIVERIES = 30_000, 60_000, 40_000, 6_000, 30_000

# 40 applications, `shop` among them, and one whose rows are the oldest; a ninth of all is denied; of a thousand reviews
# five wait.
_FILL = [
    f"""INSERT INTO sg_decisions (action_id, time, app_id, action_type, route, subject, mode, enforced, outcome,
      would_have, status, reasons, rule_ids, hits, payload, digest, latency_us, case_id, segment, mac)
    SELECT 'act-' || n, {NOW_US} - ({DECISIONS} - n) * 60000000::bigint,
      CASE WHEN n < 1500 THEN 'old' WHEN n % 40 = 0 THEN 'shop' ELSE 'app-' || n % 40 END,
      (ARRAY['refund', 'payment', 'mail', 'delete', 'ship'])[1 + n / 7 % 5], 'POST /' || n % 20, 'user:' || n % 900,
      CASE WHEN n % 3 = 0 THEN 'enforce' ELSE 'shadow' END, n % 3 = 0,
      CASE WHEN n % 9 = 0 THEN 'deny' ELSE 'allow' END,
      CASE WHEN n % 11 = 0 THEN 'deny' ELSE 'allow' END, CASE WHEN n % 500 = 0 THEN 'unavailable' ELSE 'evaluated' END,
      '["no"]', CASE WHEN n % 10 = 0 THEN '["cap"]' ELSE '[]' END, '[]', '{{"amount": 1}}', md5(n::text), 900, NULL, n,
      'mac'
    FROM generate_series(1, {DECISIONS}) AS n""",
    f"""INSERT INTO sg_events (action_id, time, kind, segment, mac)
    SELECT 'act-' || n, {NOW_US}, 'returned', n, 'mac' FROM generate_series(1, {DECISIONS}) AS n""",
    f"""INSERT INTO sg_segments (segment, time, decisions, events, head, key_id)
    SELECT 100 + n, {NOW_US}, 1, 1, 'head', 'key' FROM generate_series(1, {DECISIONS}) AS n""",
    f"""INSERT INTO sg_counts (minute, app_id, action_type, route, mode, enforced, outcome, would_have, status, count)
    SELECT {NOW_US} / 60000000 - n * 15, 'shop', 'refund', '', 'shadow', false, 'allow', 'deny', 'evaluated', 7
    FROM generate_series(1, {MINUTES}) AS n""",
    f"""INSERT INTO sg_rule_counts (minute, action_type, mode, rule_id, verdict, count)
    SELECT {NOW_US} / 60000000 - n * 15, 'refund', 'shadow', 'cap', 'deny', 7
    FROM generate_series(1, {MINUTES}) AS n""",
    f"""INSERT INTO sv_latencies (minute, app_id, action_type, bucket, count)
    SELECT {NOW_US} / 60000000 - n * 15, 'shop', 'refund', 9, 7 FROM generate_series(1, {MINUTES}) AS n""",
    f"""INSERT INTO sv_approvals (minute, app_id, action_type, count)
    SELECT {NOW_US} / 60000000 - n * 15, 'shop', 'refund', 1 FROM generate_series(1, {MINUTES}) AS n""",
    f"""INSERT INTO sv_policies (id, name, version, action_types, source, hash, created_at, created_by, promoted_at,
      retired_at)
    SELECT md5('p' || n), 'policy-' || n % 300, n::text, '["type-' || n % 300 || '"]', 'text', md5(n::text),
      {NOW_US} + n, 'tests', CASE WHEN n > {POLICIES} - 300 THEN 1 END, NULL
    FROM generate_series(1, {POLICIES}) AS n""",
    f"""INSERT INTO sv_policy_actions (action_type, policy_id, in_force)
    SELECT 'type-' || n % 300, md5('p' || n), n > {POLICIES} - 300 FROM generate_series(1, {POLICIES}) AS n""",
    f"""INSERT INTO sv_integrations (id, name, scopes, secret, resolves_own, created_at, created_by)
    SELECT md5('i' || n), 'name-' || n, '["*"]', 'sealed', false, {NOW_US} + n, 'tests'
    FROM generate_series(1, 3000) AS n""",
    f"""INSERT INTO sv_subscriptions (id, url, events, secret, created_at, created_by, disabled_at)
    SELECT 'hook-' || n, 'https://receiver.example/', '[]', 'sealed', {NOW_US} + n, 'tests',
      CASE WHEN n > 20 THEN 1 END FROM generate_series(1, 2000) AS n""",
    f"""INSERT INTO sv_deliveries (subscription_id, event, action_id, body, status, attempts, next_at, created_at)
    SELECT 'hook-' || 1 + n % 20, 'decision.made', 'act-' || n, '{{}}',
      CASE WHEN n % 100 < 20 AND n > {DELIVERIES} - 2000 THEN 'pending'
        WHEN n % 50 = 0 THEN 'failed' ELSE 'delivered' END,
      1, {NOW_US}, {NOW_US} FROM generate_series(1, {DELIVERIES}) AS n""",
]
# Many times the one review there is.
_REVIEW = {
    "id": "100 + n",
    "action_id": "'act-' || n",
    "app_id": "CASE WHEN n < 750 THEN 'old' WHEN n % 40 = 0 THEN 'shop' ELSE 'app-' || n % 40 END",
    "status": """CASE WHEN n / 40 % 200 = 0 THEN 'pending'
        ELSE (ARRAY['approved', 'used', 'executed', 'rejected', 'expired', 'abandoned'])[1 + n / 40 % 6] END""",
    "digest": "md5(n::text)",
    "action_type": "(ARRAY['refund', 'payment', 'mail'])[1 + n % 3]",
    "segment": "n",
    "resolved_at": f"CASE WHEN n / 40 % 200 <> 0 THEN created_at - ({REVIEWS} - n) * 1000000::bigint END",
}
BIG = frozenset({
    "sg_decisions", "sg_events", "sg_segments", "sg_reviews", "sg_counts", "sg_rule_counts", "sv_latencies",
    "sv_approvals", "sv_policies", "sv_policy_actions", "sv_integrations", "sv_subscriptions", "sv_deliveries",
})  # fmt: skip


def fill(store: Store) -> None:
    """Give the empty database its history, and tell the planner of it."""

    def work(held: Connection, _note: Any) -> None:
        named = ", ".join(column.name for column in reviews.c)
        values = ", ".join(_REVIEW.get(column.name, column.name) for column in reviews.c)
        more = f"INSERT INTO sg_reviews ({named}) SELECT {values} FROM sg_reviews, generate_series(1, {REVIEWS}) AS n"
        for statement in (*_FILL, more):
            held.exec_driver_sql(statement.replace("%", "%%"))
        held.exec_driver_sql("ANALYZE")

    asked = DecisionRow(
        action_id="first", time=NOW_US, action_type="refund", mode="enforce", enforced=True, outcome="review"
    )
    store.write_all([(asked, Opening(asked.time + 10**12))])
    store.transact(work)


class Scan(NamedTuple):
    """What a plan read of one table, and how: by an index, or (`None`) from end to end."""

    table: str
    index: str | None
    rows: int
    """Those that were looked at, whether or not they were wanted."""


def scans(store: Store, call: Callable[[], Any]) -> list[Scan]:
    """What the statements that `call` runs read, of the big tables."""
    with statements() as sent:
        call()
    ran = [one for one in sent if one[0].lstrip().startswith(("SELECT", "WITH", "UPDATE"))]
    found: list[Scan] = []
    with store.reading() as held:
        for statement, values in ran:
            explained = held.exec_driver_sql(
                f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", values
            ).scalar_one()
            found += _scans(explained[0]["Plan"])
        held.rollback()  # ANALYZE runs what it explains
    return [one for one in found if one.table in BIG]


def _scans(node: dict[str, Any]) -> Iterator[Scan]:
    kind = node["Node Type"]
    parts = node.get("Plans", [])
    if kind == "Bitmap Heap Scan":
        looked = _rows(node) + node.get("Rows Removed by Index Recheck", 0)
        for index in _indexes(node):
            yield Scan(node["Relation Name"], index, int(looked))
    elif kind.endswith("Scan") and "Relation Name" in node:
        yield Scan(node["Relation Name"], node.get("Index Name"), int(_rows(node)))
    for part in parts:
        yield from _scans(part)


def _rows(node: dict[str, Any]) -> float:
    looked: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return looked * node["Actual Loops"]


def _indexes(node: dict[str, Any]) -> Iterator[str]:
    for part in node.get("Plans", []):
        if part["Node Type"] == "Bitmap Index Scan":
            yield part["Index Name"]
        yield from _indexes(part)
