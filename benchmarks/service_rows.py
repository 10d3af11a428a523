"""A long history for the service, made by the database itself: decisions with their sums, and resolved reviews."""

from __future__ import annotations

from sqlalchemy import create_engine, text

REVIEWS = 100_000
"""Resolved reviews, of which an old client's list is full."""
_NUMBERS = {
    "sqlite": "(WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :rows) "
    "SELECT n FROM counted)",
    "postgresql": "(SELECT generate_series(CAST(1 AS bigint), :rows) AS n)",
}
_DECISIONS = """
INSERT INTO sg_decisions (action_id, time, app_id, action_type, mode, enforced, outcome, would_have, status, reasons,
    rule_ids, hits, policy_name, policy_version, policy_hash, payload, digest, latency_us, segment, mac)
SELECT 'old-' || n, :now - (:rows - n) * 86400, :app, 'refund', CASE n % 2 WHEN 0 THEN 'shadow' ELSE 'enforce' END,
    n % 2 = 1, CASE n % 100 WHEN 1 THEN 'deny' ELSE 'allow' END, CASE WHEN n % 2 = 0 THEN 'allow' END, 'evaluated',
    '[]', '[]', '[]', 'refund.benchmark', '1', 'ab', '{"order_id":"pi_3OaBcDeFgHiJkLmN","amount":4200}', 'cd',
    37 + n % 50, 0, 'ef'
FROM {numbers} AS numbers
"""
# What the callers before have counted in the newest minutes stays as it is.
_COUNTS = """
INSERT INTO sg_counts (minute, app_id, action_type, route, mode, enforced, outcome, would_have, status, count)
SELECT time / 60000000, app_id, action_type, '', mode, enforced, outcome, coalesce(would_have, ''), status, count(*)
FROM sg_decisions WHERE segment = 0 GROUP BY 1, 2, 3, 5, 6, 7, 8, 9
ON CONFLICT DO NOTHING
"""
_LATENCIES = """
INSERT INTO sv_latencies (minute, app_id, action_type, bucket, count)
SELECT time / 60000000, app_id, action_type, 40 + latency_us % 8, count(*)
FROM sg_decisions WHERE segment = 0 GROUP BY 1, 2, 3, 4
ON CONFLICT DO NOTHING
"""
_REVIEWS = """
INSERT INTO sg_reviews (action_id, app_id, created_at, expires_at, status, action_type, payload, reasons, priority,
    approver, resolved_at, segment)
SELECT 'old-review-' || n, :app, :now - n * 1000000, :now, CASE n % 2 WHEN 0 THEN 'used' ELSE 'rejected' END,
    'refund', '{}', '[]', 2, 'somebody', :now - n * 1000000, 0
FROM {numbers} AS numbers
"""


def fill(url: str, app_id: str, now: int, rows: int) -> None:
    """Put `rows` decisions of the application there, made 86 ms apart up to `now` (microseconds), and the reviews."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    numbers = _NUMBERS[engine.dialect.name]
    values = {"app": app_id, "now": now}
    with engine.begin() as held:
        held.execute(text(_escaped(_DECISIONS).replace("{numbers}", numbers)), {**values, "rows": rows})
        held.execute(text(_COUNTS))
        held.execute(text(_LATENCIES))
        held.execute(text(_escaped(_REVIEWS).replace("{numbers}", numbers)), {**values, "rows": REVIEWS})
        held.execute(text("ANALYZE"))
    engine.dispose()


def _escaped(statement: str) -> str:
    """`statement`, whose JSON has colons that are no parameters."""
    return statement.replace('":', '"\\:')
