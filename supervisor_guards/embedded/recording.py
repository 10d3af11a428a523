"""From a decided entry to the row that is stored; redaction happens here, before anything leaves the process."""

from __future__ import annotations

from typing import Any

import msgspec

from supervisor_guards._model import Entry, Verdict
from supervisor_guards._redaction import Redactor
from supervisor_guards.embedded.rows import DecisionRow

_encode = msgspec.json.Encoder().encode


class RowMaker:
    """Makes rows for one application."""

    def __init__(self, redactor: Redactor, app_id: str) -> None:
        self._redactor = redactor
        self._app_id = app_id

    def row(self, entry: Entry, payload: dict[str, Any], digest: str | None) -> DecisionRow:
        """The row of `entry`, whose decoded payload is `payload`."""
        action = entry.action
        verdict: Verdict = entry.verdict  # type: ignore[assignment]  # whoever stores an entry has judged it
        known = entry.status == "evaluated"
        return DecisionRow(
            action_id=action.action_id,
            time=int(action.time * 1_000_000),
            app_id=self._app_id,
            action_type=action.action_type,
            route=action.route,
            subject=action.subject,
            tenant=action.tenant,
            mode=action.mode,
            enforced=action.enforced,
            outcome=entry.outcome.value,
            would_have=verdict.outcome.value if known and not action.enforced else None,
            status=entry.status,
            reasons=verdict.reasons,
            rule_ids=verdict.rule_ids if verdict.hits else (),
            hits=verdict.hits,
            policy_name=verdict.policy_name,
            policy_version=verdict.policy_version,
            policy_hash=verdict.policy_hash,
            sample_bucket=action.sample_bucket,
            payload=self._text(payload),
            context=self._text(dict(action.context)) if action.context else None,
            digest=digest,
            latency_us=entry.latency_us,
            result=entry.result,
        )

    def redacted(self, value: dict[str, Any]) -> dict[str, Any]:
        """`value` as the record may hold it."""
        return self._redactor.redact(value)

    def _text(self, value: dict[str, Any]) -> str:
        return _encode(self.redacted(value)).decode()
