"""A service that has what "Ours" adds beside version 1: capabilities, batches, long polls, redeeming, results.

Where the protocol leaves the shape open, this is what the peer answers:

- `GET /v1/capabilities` (no token needed): `{"capabilities": ["batch", "long_poll", "redeem", "result", "results"]}`;
- an evaluation, alone or in a batch, may carry `id`: it is the action's id from then on, is answered as `id` and as
  `action_id`, and asking again with it gives the first answer again, evaluated and stored once;
- an item that fails is `{"id": ..., "error": {"status": 422, "detail": ...}}`; the others are answered;
- a redemption is `{"action_id": ..., "status": "used"}`, a result `{"action_id": ..., "result": ...}`.
"""

from __future__ import annotations

from typing import Any

from tests.remote.peers.plain import Handler, PlainService
from tests.remote.peers.ruling import Asked, Case, Refused, Ruling, asked, parsed, ruled
from tests.remote.peers.sockets import Reply, Request, Script
from tests.remote.peers.tokens import administrator, integration

CAPABILITIES = ("batch", "long_poll", "redeem", "result", "results")
PAGE = 100
LONGEST_WAIT = 30.0


class OurService(PlainService):
    """`PlainService` and everything of ours. `capabilities` may be cut down by a test; `results` is what was told."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.capabilities: tuple[str, ...] = CAPABILITIES
        self.results: dict[str, str] = {}
        self._answers: dict[str, tuple[Asked, dict[str, Any]]] = {}
        super().__init__(*arguments, **options)

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            **super().routes(),
            ("GET", "/v1/capabilities"): lambda request: Reply.of({"capabilities": list(self.capabilities)}),
            ("POST", "/v1/actions/evaluate/batch"): self.batch,
            ("POST", "/v1/approvals/([^/]+)/redeem"): self.redeemed,
            ("POST", "/v1/actions/([^/]+)/result"): self.told,
            ("POST", "/v1/actions/results"): self.all_told,
        }

    def batches(self) -> list[int]:
        """How many items each batch held, in order."""
        name = "POST /v1/actions/evaluate/batch"
        return [len(request.json()["items"]) for request in self.requests if request.name == name]

    def expire(self, action_id: str) -> None:
        """The time to decide on a review, or to use its approval, is over."""
        case = self.case(action_id)
        with self.lock:
            case.expired = True
            if case.status == "pending":
                case.status = "expired"
            self.lock.notify_all()

    def stopping(self) -> None:
        with self.lock:
            self.lock.notify_all()

    def evaluate(self, request: Request) -> Reply | Script:
        sub = integration(request, self.secrets)
        dry_run = request.query.get("dry_run", "").lower() in ("true", "1")
        return Reply.of(self.judge(asked(parsed(request.body), sub, dry_run=dry_run, ours=True)))

    def batch(self, request: Request) -> Reply | Script:
        self._offered("batch")
        sub = integration(request, self.secrets)
        body = parsed(request.body)
        if not isinstance(body, dict) or not isinstance(body.get("items"), list):
            raise Refused(422, [{"loc": ["body", "items"], "msg": "not a list", "type": "list_type"}])
        return Reply.of({"items": [self._item(item, sub) for item in body["items"]]})

    def _item(self, item: Any, sub: str) -> dict[str, Any]:
        given = item.get("id") if isinstance(item, dict) else None
        try:
            if not isinstance(given, str):
                raise Refused(422, [{"loc": ["id"], "msg": "field required", "type": "missing"}])
            return self.judge(asked(item, sub, batched=True, ours=True))
        except Refused as error:
            return {"id": given, "error": {"status": error.status, "detail": error.detail}}

    def judge(self, question: Asked) -> dict[str, Any]:
        known = self._known(question)
        return self.store(question, ruled(self.policy, question)) if known is None else known

    def store(self, question: Asked, ruling: Ruling) -> dict[str, Any]:
        with self.lock:  # one answer for one id, also where two ask at once
            known = self._known(question)
            if known is not None:
                return known
            answer = super().store(question, ruling)
            answer["would_have"] = {
                "decision": ruling.decision,
                "reasons": list(ruling.reasons),
                "rule_ids": list(ruling.rule_ids),
            }
            if question.id is not None:
                answer["id"] = question.id
                if not question.dry_run:
                    self._answers[question.id] = (question, answer)
            return answer

    def _known(self, question: Asked) -> dict[str, Any] | None:
        with self.lock:
            first, answer = self._answers.get(question.id or "", (question, None))
        if (first.action_type, first.payload) != (question.action_type, question.payload):
            raise Refused(409, "the id is another action's")
        return answer

    def listed(self, request: Request) -> Reply | Script:
        """One page of the integration's own cases; `action_id` chooses one, `wait` (s) gives it time to be resolved."""
        sub = integration(request, self.secrets)
        query = request.query
        status, action_id = query.get("status"), query.get("action_id")
        wait = min(float(query.get("wait", "0")), LONGEST_WAIT)

        def found() -> list[Case]:
            own = [case for case in self.cases if case.asked.integration == sub]
            return [case for case in own if action_id in (None, case.action_id) and status in (None, case.status)]

        with self.lock:
            if wait and action_id is not None and "long_poll" in self.capabilities:
                self.lock.wait_for(lambda: self.stopped or any(c.status != "pending" for c in found()), wait)
            newest = sorted(found(), key=lambda case: (case.resolved_order, case.order), reverse=True)
            return Reply.of([case.item() for case in newest[:PAGE]])

    def resolver(self, request: Request) -> str:
        """An integration may not resolve its own reviews."""
        if "x-admin-token" not in request.headers:
            integration(request, self.secrets)
            raise Refused(403, "an integration may not resolve its own reviews")
        return administrator(request)

    def redeemed(self, request: Request, action_id: str) -> Reply | Script:
        self._offered("redeem")
        sub = integration(request, self.secrets)
        body = parsed(request.body)
        with self.lock:
            own = [case for case in self.cases if (case.action_id, case.asked.integration) == (action_id, sub)]
            if not own:
                raise Refused(404, "review not found")
            case = own[0]
            self._claim(case, body.get("digest"), body.get("subject"))
            case.used = True
        return Reply.of({"action_id": action_id, "status": "used"})

    def _claim(self, case: Case, digest: Any, subject: Any) -> None:
        if case.expired:
            raise Refused(410, "approval expired")
        if case.status == "pending":
            raise Refused(425, "review still pending")
        if case.status == "rejected":
            raise Refused(403, "review rejected")
        if digest is None or digest != case.asked.digest:
            raise Refused(403, "approved for another digest")
        if subject != case.asked.subject:
            raise Refused(403, "approved for another subject")
        if case.used:
            raise Refused(409, "approval already used")

    def told(self, request: Request, action_id: str) -> Reply | Script:
        self._offered("result")
        integration(request, self.secrets)
        body = parsed(request.body)
        result = body.get("result") if isinstance(body, dict) else None
        if result not in ("returned", "raised"):
            raise Refused(422, [{"loc": ["body", "result"], "msg": "returned or raised", "type": "enum"}])
        with self.lock:
            if action_id not in self.decisions:
                raise Refused(404, "decision not found")
            self.results[action_id] = result
            self.lock.notify_all()
        return Reply.of({"action_id": action_id, "result": result})

    def all_told(self, request: Request) -> Reply | Script:
        """`{"items": [{"id", "result"}]}`: of several actions; those it doesn't know are passed over."""
        self._offered("results")
        integration(request, self.secrets)
        with self.lock:
            for item in parsed(request.body)["items"]:
                if item["id"] in self.decisions:
                    self.results[item["id"]] = item["result"]
            self.lock.notify_all()
        return Reply.of({})

    def _offered(self, capability: str) -> None:
        if capability not in self.capabilities:
            raise Refused(404, "Not Found")
