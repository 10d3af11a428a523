"""A plain version 1 service: evaluations, review cases, decisions, evidence, on a real socket.

It keeps the state of a service that has a database: `kill` and `start` lose nothing that was answered.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.remote.peers.ruling import Asked, Case, Policy, Refused, Ruling, asked, now, parsed, ruled
from tests.remote.peers.sockets import PATIENCE, Reply, Request, Script, Server
from tests.remote.peers.tokens import APP_ID, SECRET, administrator, integration

Handler = Callable[..., "Reply | Script"]


class PlainService(Server):
    """A version 1 service without `/v1/capabilities`; `policy` answers `allow`, `deny`, `review` or a `Ruling`.

    `fault`, while set, answers in the service's place (such as `ANSWERS["reset"]` of the faults), everything but health
    and capabilities; where it gives None, the service does. `asked` lists what was evaluated, in order; `secrets` holds
    the integrations, which a test may take away.
    """

    def __init__(self, policy: Policy = lambda question: "allow", **options: Any) -> None:
        self.policy = policy
        self.secrets = {APP_ID: SECRET}
        self.asked: list[Asked] = []
        self.cases: list[Case] = []
        self.decisions: dict[str, tuple[Asked, Ruling, str]] = {}
        self.fault: Callable[[Request], Reply | Script | None] | None = None
        self.lock = threading.Condition()
        """Held while state changes; told when a case is resolved."""
        self._routes = [
            (method, re.compile(path + r"\Z"), handler) for (method, path), handler in self.routes().items()
        ]
        super().__init__(self._answer_to, **options)

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Method and path (a pattern) to what answers it: called with the request and the path's parts."""
        return {
            ("GET", "/healthz"): lambda request: Reply.of({"status": "ok"}),
            ("POST", "/v1/actions/evaluate"): self.evaluate,
            ("GET", "/v1/actions/recent"): self.recent,
            ("GET", "/v1/action-types"): lambda request: Reply.of({"action_types": self.action_types()}),
            ("GET", "/v1/review-cases"): self.listed,
            ("GET", "/v1/review-cases/([^/]+)"): self.one,
            ("POST", "/v1/review-cases/([^/]+)/resolve"): self.resolved,
            ("GET", "/v1/decisions/([^/]+)"): self.decision,
            ("GET", "/v1/decisions/([^/]+)/evidence"): self.evidence,
        }

    # What a test does and asks.

    @property
    def counts(self) -> Counter[str]:
        """How many requests came, by name (`POST /v1/actions/evaluate`)."""
        return Counter(request.name for request in self.requests)

    def case(self, action_id: str) -> Case:
        """The review case of an action; waits until there is one."""
        with self.lock:
            found = self.lock.wait_for(lambda: [c for c in self.cases if c.action_id == action_id], PATIENCE)
            assert found, f"no review of {action_id}"
            return found[0]

    def next_case(self, number: int = 0) -> Case:
        """The `number`-th review case ever opened, from 0; waits until it is."""
        with self.lock:
            assert self.lock.wait_for(lambda: len(self.cases) > number, PATIENCE), "no review was asked for"
            return self.cases[number]

    def resolve(self, action_id: str, decision: str, notes: str | None = None, approver: str = "a person") -> None:
        """A person says `approved` or `rejected`."""
        self._resolve(self.case(action_id), decision, notes, approver)

    # What clients ask.

    def _answer_to(self, request: Request) -> Reply | Script:
        try:
            fault = self.fault(request) if self.fault is not None and self.faulty(request) else None
            if fault is not None:
                return fault
            for method, path, handler in self._routes:
                match = path.match(request.path)
                if match and method == request.method:
                    return handler(request, *match.groups())
            raise Refused(404, "Not Found")
        except Refused as error:
            return Reply.of({"detail": error.detail}, error.status, **error.headers)

    def faulty(self, request: Request) -> bool:
        """Whether `fault` answers `request`."""
        return request.path not in ("/healthz", "/v1/capabilities")

    def evaluate(self, request: Request) -> Reply | Script:
        sub = integration(request, self.secrets)
        dry_run = request.query.get("dry_run", "").lower() in ("true", "1")
        return Reply.of(self.judge(asked(parsed(request.body), sub, dry_run=dry_run)))

    def judge(self, question: Asked) -> dict[str, Any]:
        """The answer to one evaluation, stored unless it is a dry run."""
        ruling = ruled(self.policy, question)  # outside the lock: a test's policy may wait
        with self.lock:
            return self.store(question, ruling)

    def store(self, question: Asked, ruling: Ruling) -> dict[str, Any]:
        action_id = "dry-run" if question.dry_run else question.id or str(uuid.uuid4())
        observed = question.shadow and not question.dry_run
        self.asked.append(question)
        if not question.dry_run:
            self.decisions[action_id] = (question, ruling, now())
            if ruling.decision == "review" and not question.shadow:
                self.cases.append(Case(question, action_id, ruling, now(), len(self.cases)))
        self.lock.notify_all()
        return {
            "action_id": action_id,
            "decision": "allow" if observed else ruling.decision,
            "reasons": [] if observed else list(ruling.reasons),
            "risk_score": 0,
            "policy_version": f"{question.action_type}.base@v1",
            "threat_level": "none",
            "threats": [],
            "shadow_would_have": ruling.decision if observed else None,
        }

    def listed(self, request: Request) -> Reply | Script:
        """All cases ever with the status, newest first: a plain service has no pages."""
        integration(request, self.secrets)
        status = request.query.get("status")
        with self.lock:
            return Reply.of([case.item() for case in reversed(self.cases) if status in (None, case.status)])

    def one(self, request: Request, case_id: str) -> Reply | Script:
        integration(request, self.secrets)
        with self.lock:
            return Reply.of(self._found(case_id).item())

    def resolved(self, request: Request, case_id: str) -> Reply | Script:
        approver = self.resolver(request)
        body = parsed(request.body)
        if not isinstance(body, dict) or body.get("decision") not in ("approved", "rejected"):
            raise Refused(422, [{"loc": ["body", "decision"], "msg": "approved or rejected", "type": "enum"}])
        with self.lock:
            case = self._found(case_id)
            self._resolve(case, body["decision"], body.get("notes"), approver)
            return Reply.of(case.item())

    def resolver(self, request: Request) -> str:
        """Who resolves: with a plain service, any token's claim."""
        if "x-admin-token" in request.headers:
            return administrator(request)
        integration(request, self.secrets)
        return request.headers.get("x-approver", "")

    def recent(self, request: Request) -> Reply | Script:
        integration(request, self.secrets)
        with self.lock:
            stored = list(self.decisions.items())[::-1][: int(request.query.get("limit", "50"))]
        return Reply.of(
            [{**self._stored(action_id), "latency_ms": 1, "shadow": row[0].shadow} for action_id, row in stored]
        )

    def decision(self, request: Request, action_id: str) -> Reply | Script:
        integration(request, self.secrets)
        return Reply.of(self._stored(action_id))

    def evidence(self, request: Request, action_id: str) -> Reply | Script:
        sub = integration(request, self.secrets)
        stored = self._stored(action_id)
        question, ruling, made = self.decisions[action_id]
        events = [
            ("action.received", {"action_type": question.action_type}),
            ("decision.made", {"decision": ruling.decision}),
        ]
        prev = hashlib.sha256(f"genesis:{action_id}".encode()).hexdigest()
        chain = []
        for seq, (event_type, payload) in enumerate(events):
            canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
            link = hashlib.sha256(f"{prev}|{seq}|{event_type}|{canonical}".encode()).hexdigest()
            chain.append({"seq": seq, "event_type": event_type, "event_payload": payload, "prev_hash": prev})
            chain[-1] |= {"hash": link, "created_at": made}
            prev = link
        bundle = hashlib.sha256(f"{action_id}|{question.action_type}|{stored['decision']}|{prev}".encode()).hexdigest()
        signature = hmac.new(self.secrets[sub].encode(), bundle.encode(), hashlib.sha256).hexdigest()
        return Reply.of(
            {
                "action_id": action_id,
                "action_type": question.action_type,
                "status": stored["decision"],
                "events": chain,
                "chain_ok": True,
                "broken_at_seq": None,
                "bundle_hash": bundle,
                "bundle_signature": signature,
                "exported_at": now(),
            }
        )

    def action_types(self) -> list[dict[str, Any]]:
        return [
            {
                "id": name,
                "title": name,
                "one_liner": "",
                "status": "active",
                "intercepted_signals": [],
                "sample_payload": {},
                "policy_ref": f"{name}.base@v1",
            }
            for name in ("refund", "payment")
        ]

    def _stored(self, action_id: str) -> dict[str, Any]:
        with self.lock:
            if action_id not in self.decisions:
                raise Refused(404, "decision not found")
            question, ruling, made = self.decisions[action_id]
        return {
            "action_id": action_id,
            "action_type": question.action_type,
            "decision": ruling.decision,
            "reasons": list(ruling.reasons),
            "risk_score": 0,
            "policy_version": f"{question.action_type}.base@v1",
            "created_at": made,
        }

    def _found(self, case_id: str) -> Case:
        for case in self.cases:
            if case.id == case_id:
                return case
        raise Refused(404, "review not found")

    def _resolve(self, case: Case, decision: str, notes: str | None, approver: str) -> None:
        with self.lock:
            if case.status != "pending":
                raise Refused(409, f"review already {case.status}")
            case.status, case.notes, case.approver, case.resolved_at = decision, notes, approver, now()
            case.resolved_order = 1 + max(each.resolved_order for each in self.cases)
            self.lock.notify_all()
