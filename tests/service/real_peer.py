"""Puts the service itself in the place of the remote tests' own `OurService`: a plugin for pytest (`-p`).

The peer's socket stays in front, so that a test can still cut, hold and count; whatever is asked is answered by the
service behind it, whose policies are the test's function. What the peer kept of each evaluation is kept here too.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import insert

import tests.remote.peers as peers
from supervisor_guards._model import Hit, Outcome, Verdict
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service.schema import integrations
from tests.remote.peers.ours import OurService
from tests.remote.peers.ruling import Asked, Case, Ruling, asked, ruled
from tests.remote.peers.sockets import Reply, Request, Script
from tests.remote.peers.tokens import ADMIN_TOKEN, APP_ID, SECRET
from tests.service.serving import PATIENCE, serving

_PASSED_ON = ("authorization", "x-admin-token", "x-approver", "content-type")
_PIECE = 1
"""Seconds of a long poll at a time, so that a test that ends isn't held up."""


class RealService(OurService):
    """The service on SQLite behind the peer's socket."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._closing = contextlib.ExitStack()
        folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory()))
        self._real = self._closing.enter_context(
            serving(f"sqlite:///{folder}/service.db", folder / "state", policy=None, admin_token=ADMIN_TOKEN)
        )
        service = self._real.service
        service.policies = _Scripted(self)  # type: ignore[assignment]
        row = {
            "id": APP_ID, "name": APP_ID, "scopes": '["*"]', "secret": service.vault.seal(SECRET, APP_ID),
            "resolves_own": False, "created_at": now_us(), "created_by": "tests",
        }  # fmt: skip
        service.store.transact(lambda held, _note: held.execute(insert(integrations).values(row)))
        self._behind = self._closing.enter_context(
            httpx.Client(base_url=self._real.base_url, trust_env=False, timeout=PATIENCE)
        )
        super().__init__(*arguments, **options)

    def close(self) -> None:
        super().close()
        self._closing.close()

    def evaluate(self, request: Request) -> Reply | Script:
        reply = self._passed(request)
        if reply.status == 200:
            self._keep(request.json(), msgspec.json.decode(reply.body), dry_run="dry_run" in request.query)
        return reply

    def batch(self, request: Request) -> Reply | Script:
        self._offered("batch")
        reply = self._passed(request)
        if reply.status == 200:
            told = msgspec.json.decode(reply.body)["items"]
            for item, answer in zip(request.json()["items"], told, strict=True):
                if "error" not in answer:
                    self._keep(item, answer, batched=True)
        return reply

    def listed(self, request: Request) -> Reply | Script:
        query = request.query
        deadline = time.monotonic() + float(query.pop("wait", "0"))
        if "long_poll" not in self.capabilities:
            deadline = 0
        while True:
            left = deadline - time.monotonic()
            reply = self._passed(request, **query, **({"wait": str(_PIECE)} if left > 0 else {}))
            pending = b'"state":"pending"' in reply.body
            if left <= 0 or not pending or self.stopped:
                return reply

    def one(self, request: Request, case_id: str) -> Reply | Script:
        return self._passed(request)

    def resolved(self, request: Request, case_id: str) -> Reply | Script:
        return self._passed(request)

    def redeemed(self, request: Request, action_id: str) -> Reply | Script:
        self._offered("redeem")
        return self._passed(request)

    def told(self, request: Request, action_id: str) -> Reply | Script:
        self._offered("result")
        reply = self._passed(request)
        with self.lock:
            if reply.status == 200:
                self.results[action_id] = request.json()["result"]
            self.lock.notify_all()
        return reply

    def all_told(self, request: Request) -> Reply | Script:
        self._offered("results")
        reply = self._passed(request)
        with self.lock:
            self.results |= {item["id"]: item["result"] for item in request.json()["items"] if reply.status == 200}
            self.lock.notify_all()
        return reply

    def recent(self, request: Request) -> Reply | Script:
        return self._passed(request)

    def decision(self, request: Request, action_id: str) -> Reply | Script:
        return self._passed(request)

    def evidence(self, request: Request, action_id: str) -> Reply | Script:
        return self._passed(request)

    def resolve(self, action_id: str, decision: str, notes: str | None = None, approver: str = "a person") -> None:
        case = self.case(action_id)
        self._real.service.store.resolve(action_id, decision, approver, notes)  # type: ignore[arg-type]
        case.status = decision

    def expire(self, action_id: str) -> None:
        def work(held: Any, _note: Any) -> None:
            held.exec_driver_sql(f"UPDATE sg_reviews SET expires_at = 1 WHERE action_id = '{action_id}'")

        self._real.service.store.transact(work)

    def _passed(self, request: Request, **query: str) -> Reply:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        answer = self._behind.request(
            request.method, request.path, params=query or request.query, content=request.body, headers=headers
        )
        kept = {name: answer.headers[name] for name in ("content-type", "retry-after") if name in answer.headers}
        return Reply(answer.status_code, answer.content, kept)

    def _keep(self, fields: Any, answer: Any, *, batched: bool = False, dry_run: bool = False) -> None:
        question = asked(fields, APP_ID, batched=batched, dry_run=dry_run, ours=True)
        name = answer["id"]
        ruling = Ruling(answer["would_have"]["decision"], tuple(answer["would_have"]["reasons"]))
        with self.lock:
            if dry_run or name not in self.decisions:
                self.asked.append(question)
            if not dry_run and name not in self.decisions:
                self.decisions[name] = (question, ruling, "")
                if answer["decision"] == "review" and answer["action_id"] == name:
                    self.cases.append(Case(question, name, ruling, "", len(self.cases), id=name))
            self.lock.notify_all()


class _Scripted:
    """Policies that are a test's function."""

    policies: tuple[Any, ...] = ()

    def __init__(self, peer: RealService) -> None:
        self._peer = peer

    def current(self, *, shadow: bool = False) -> _Scripted:
        return self

    def refresh(self) -> bool:
        return False

    def reads_call(self, action_type: str) -> bool:
        return False

    def evaluate(self, action_type: str, payload: Any, *_: Any, marked: bool) -> Verdict:
        question = Asked(action_type, payload, False, False, None, APP_ID)
        ruling = ruled(self._peer.policy, question)
        rules = ruling.rule_ids or ruling.reasons
        hits = tuple(
            Hit(rule, ruling.decision, reason)  # type: ignore[arg-type]
            for rule, reason in zip(rules, ruling.reasons, strict=False)
        )
        return Verdict(
            Outcome(ruling.decision),
            ruling.reasons,
            hits if ruling.decision != "allow" else (),
            policy_name=f"{action_type}.base",
            policy_version=f"{action_type}.base@v1",
        )


peers.OurService = RealService  # type: ignore[misc]
