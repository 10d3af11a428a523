"""From an action to what is asked of the service: redaction happens here, before anything leaves the process."""

from __future__ import annotations

import msgspec

from supervisor_guards._digest import digest as keyed_digest
from supervisor_guards._digest import hkdf
from supervisor_guards._model import Action, Entry, Outcome, Verdict
from supervisor_guards._payload import decode
from supervisor_guards._redaction import Redactor
from supervisor_guards.remote.wire import Question

_encode = msgspec.json.Encoder().encode
_FAILED = "redaction-failed"
_UNSURE = tuple(
    f'"{key}"'.encode()
    for key in ("__truncated__", "__nonfinite__", "__surrogate__", "__cycle__", "__depth__", "__key__", "__error__")
)
"""Markers of what the sender of a request chooses. A plain service compares them as it likes, so none gets past it."""


class NotRedacted(Exception):
    """Secrets could not be taken out of a payload, so nothing of it may leave."""


class Questions:
    """Makes questions for one application, and finishes their verdicts.

    Digests are keyed with `key`, what the application's processes share.
    """

    def __init__(self, redactor: Redactor, key: bytes) -> None:
        self._redactor = redactor
        self._key = hkdf(key, b"supervisor-guards:remote digest")

    def digest(self, action: Action) -> str:
        """The keyed digest of action type and payload; empty where the payload was too large to be read."""
        return keyed_digest(self._key, action.action_type, action.snapshot) or ""

    def question(self, action: Action, shadow: bool) -> Question:
        """What is asked about `action`. Raises `NotRedacted`."""
        return Question(
            action.action_type,
            self._redacted(decode(action.snapshot)),
            shadow,
            self._redacted(dict(action.context)) if action.context else None,
            action.action_id,
            self.digest(action) or None,
            action.subject,
            action.tenant,
            action.route,
            self._redacted(dict(action.request)) if action.request else None,
            action.call,
            action.approval,
            action.proceeds,
            action.mode,
            action.enforced,
            action.time,
            action.sample_bucket,
        )

    def of_entry(self, entry: Entry) -> Question:
        """What is told about a call that is over: the question it would have been, and how it went."""
        question = self.question(entry.action, True)
        question.result = entry.result
        question.status = entry.status if entry.verdict is not None else None
        return question

    def _redacted(self, value: dict[str, object]) -> msgspec.Raw:
        redacted = self._redactor.redact(value)
        if redacted.get("__error__") == _FAILED:
            raise NotRedacted
        return msgspec.Raw(_encode(redacted))


def finished(verdict: Verdict, action: Action, ours: bool) -> Verdict:
    """`verdict`, refused where the payload itself can't be judged, whatever the service made of it."""
    reason = action.snapshot.fault
    if reason is None and not ours and any(marker in action.snapshot.body for marker in _UNSURE):
        reason = "unreadable-for-a-plain-service"
    if reason is None:
        return verdict
    return msgspec.structs.replace(verdict, outcome=Outcome.DENY, reasons=(reason,), hits=(), unusable=True)
