"""The published client's methods on the service that the default guard asks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from supervisor_guards._client import ClientDecision, ClientReview
from supervisor_guards._payload import decode, snapshot
from supervisor_guards._redaction import Redactor
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.remote import wire
from supervisor_guards.remote.faults import Fault
from supervisor_guards.remote.requests import Reader, Request, Whole
from supervisor_guards.remote.token import ReviewerToken, header_value

if TYPE_CHECKING:
    from supervisor_guards._guard import Guard
    from supervisor_guards.remote.client import RemoteSupervisor

T = TypeVar("T")
_SECONDS = 10.0
"""How long one request may take, as with the published client."""
_LIST_BYTES = 67_108_864
"""A plain service lists every case that there ever was."""


class RemoteClient:
    """Asks the service itself, without the guard's modes and failure policy.

    Every method raises `SupervisorUnavailable` where the service gave no usable answer, and `LookupError` for an
    unknown id. What is sent is redacted, as everything that leaves the process.
    """

    def __init__(self, guard: Guard, supervisor: RemoteSupervisor) -> None:
        config = guard.config
        self._supervisor = supervisor
        self._limit = config.max_payload_bytes
        self._reviewer = ReviewerToken(config.reviewer_token) if config.reviewer_token else None
        self._redactor = Redactor(extra_names=config.redact, allow=config.redact_allow or None)

    def __repr__(self) -> str:
        return f"<RemoteClient of {self._supervisor!r}>"

    def evaluate(
        self,
        action_type: str,
        payload: Mapping[str, Any],
        *,
        dry_run: bool = False,
        shadow: bool = False,
        agent_context: Mapping[str, Any] | None = None,
    ) -> ClientDecision:
        """Have an action judged; `dry_run` stores nothing.

        `shadow` answers allow, with no reasons, and the verdict in `shadow_would_have`.
        """
        body: dict[str, Any] = {"action_type": action_type, "payload": self._redacted(payload), "shadow": shadow}
        if agent_context:
            body["agent_context"] = self._redacted(agent_context)
        answer = self._asked(b"POST", f"{wire.EVALUATE}{'?dry_run=true' if dry_run else ''}", body)
        return self._shaped(answer, ClientDecision)

    def list_action_types(self) -> list[dict[str, Any]]:
        """The action types that the service knows."""
        answer = self._asked(b"GET", "/v1/action-types")
        types: list[dict[str, Any]] = self._shaped(answer, dict[str, list[dict[str, Any]]]).get("action_types", [])
        return types

    def list_reviews(self, status: str | None = None) -> list[ClientReview]:
        """Reviews, as many as the service lists."""
        query = f"?{urlencode({'status': status})}" if status else ""
        return self._shaped(self._asked(b"GET", f"{wire.REVIEWS}{query}"), list[ClientReview])

    def get_review(self, review_id: str) -> dict[str, Any]:
        """One review case."""
        return self._shaped(self._asked(b"GET", f"{wire.REVIEWS}/{quote(review_id, safe='')}"), dict[str, Any])

    def resolve_review(
        self,
        review_id: str,
        decision: Literal["approved", "rejected"],
        notes: str | None = None,
        approver: str | None = None,
    ) -> dict[str, Any]:
        """Approve or reject, with the reviewer's token where one is set: ours lets no application decide by itself."""
        headers = ((b"X-Approver", header_value(approver)),) if approver else ()
        target = f"{wire.REVIEWS}/{quote(review_id, safe='')}/resolve"
        body = {"decision": decision, "notes": notes}
        return self._shaped(self._asked(b"POST", target, body, headers, self._reviewer), dict[str, Any])

    def get_evidence(self, action_id: str) -> dict[str, Any]:
        """The evidence bundle of an action."""
        return self._shaped(self._asked(b"GET", f"/v1/decisions/{quote(action_id, safe='')}/evidence"), dict[str, Any])

    def close(self) -> None:
        """Nothing to release: the guard owns the connections."""

    def __enter__(self) -> RemoteClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _redacted(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return self._redactor.redact(decode(snapshot(dict(value), self._limit)))

    def _asked(
        self,
        method: bytes,
        target: str,
        body: Any = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        reviewer: ReviewerToken | None = None,
    ) -> bytes:
        whole = Whole(_LIST_BYTES)
        asking = self._supervisor.asking
        content = None if body is None else wire.written(body)
        request = asking.request(method, target, content, repeatable=method == b"GET", extra=headers, reviewer=reviewer)

        def make(service: wire.Service) -> tuple[Request, Reader]:
            return request, whole

        flow = asking.once(self._supervisor.lines, make, time.monotonic() + _SECONDS)
        answer = self._supervisor.perform(flow)
        try:
            wire.check_status(answer.status, whole.body, answer.retry_after)
        except Fault as fault:
            if answer.status == 404:
                raise LookupError(f"{target}: the supervisor {fault.what}") from None
            if answer.status == 401 and reviewer is not None:
                raise ConfigurationError(
                    f"the supervisor {fault.what}; check reviewer_token (SUPERVISOR_REVIEWER_TOKEN): this one isn't in "
                    "force there"
                ) from None
            if answer.status == 403 and not self._reviewer and target.endswith("/resolve"):
                raise ConfigurationError(
                    f"the supervisor {fault.what}; deciding needs a reviewer's token: set reviewer_token "
                    "(SUPERVISOR_REVIEWER_TOKEN)"
                ) from None
            raise asking.unavailable(fault) from None
        return whole.body

    def _shaped(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            fault = Fault("wrong", "answered with what is not the answer to the question")
        raise self._supervisor.asking.unavailable(fault)
