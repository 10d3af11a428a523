"""Version 1 of the wire protocol, and what ours adds: values to bytes and back, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from supervisor_guards._model import Hit, Outcome, Result, ReviewState, ReviewStatus, Verdict
from supervisor_guards.remote.faults import Fault

CAPABILITIES = "/v1/capabilities"
EVALUATE = "/v1/actions/evaluate"
BATCH = "/v1/actions/evaluate/batch"
RESULTS = "/v1/actions/results"
REVIEWS = "/v1/review-cases"
BATCH_ITEMS = 100
RESULT_ITEMS = 1_000
BATCH_BYTES = 1_048_576
OVERHEAD = 1_024
"""Bytes that a question may take beside its payload."""

Word = Literal["allow", "deny", "review"]
_DETAIL_LIMIT = 200
_STATUSES: tuple[ReviewStatus, ...] = ("pending", "approved", "rejected", "expired", "abandoned", "used", "executed")


class Service(msgspec.Struct, frozen=True):
    """What the service offers beside version 1: `batch`, `long_poll`, `redeem`, `result`, and `results` in batches."""

    ours: bool = False
    capabilities: frozenset[str] = frozenset()

    def offers(self, name: str) -> bool:
        """Whether it does `name`."""
        return name in self.capabilities


PLAIN = Service()
_ALL = frozenset({"batch", "long_poll", "redeem", "result"})


class Question(msgspec.Struct, omit_defaults=True):
    """One evaluation. What follows `id` is said only to a service of ours; version 1 ignores what it doesn't know."""

    action_type: str
    payload: msgspec.Raw
    shadow: bool | msgspec.UnsetType = msgspec.UNSET
    agent_context: msgspec.Raw | None = None
    id: str | None = None
    digest: str | None = None
    subject: str | None = None
    tenant: str | None = None
    route: str | None = None
    request: msgspec.Raw | None = None
    call: tuple[str, ...] | None = None
    approval: tuple[str, ...] | None = None
    proceeds: bool = False
    mode: str | None = None
    enforced: bool | None = None
    time: float | None = None
    sample_bucket: int | None = None
    status: str | None = None
    result: Result | None = None

    @property
    def plain(self) -> Question:
        """What version 1 knows of it."""
        return Question(self.action_type, self.payload, self.shadow, self.agent_context)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(memoryview(self.payload)) + OVERHEAD


class _WouldHave(msgspec.Struct):
    decision: Word
    reasons: list[str] = []
    rule_ids: list[str] = []


class _Answer(msgspec.Struct):
    action_id: str
    decision: Word
    reasons: list[str]
    id: str | None = None
    risk_score: float = 0
    policy_version: str | None = None
    threats: list[dict[str, Any]] = []
    shadow_would_have: Word | None = None
    would_have: _WouldHave | None = None
    unusable: bool = False


class _Error(msgspec.Struct):
    status: int
    detail: Any = None


class _Item(msgspec.Struct):
    id: str
    error: _Error | None = None


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]


class _Capabilities(msgspec.Struct):
    capabilities: list[str] | None = None


class Case(msgspec.Struct):
    """A review case. Further fields are ignored."""

    id: str
    action_id: str
    status: str
    created_at: str | None = None
    approver: str | None = None
    approver_notes: str | None = None
    precise: str | None = msgspec.field(default=None, name="state")
    """A service of ours: the status in full, where version 1's has fewer words."""

    @property
    def state(self) -> ReviewState:
        """Where it stands. Raises `Fault` for a status that is none."""
        status = self.status if self.precise is None else self.precise
        if status not in _STATUSES:
            raise Fault("wrong", f"answered the review status {status[:40]!r}, which is none")
        return ReviewState(self.action_id, status, self.approver, self.approver_notes)


_encode = msgspec.json.Encoder().encode
_read_answer = msgspec.json.Decoder(_Answer).decode
_read_item = msgspec.json.Decoder(_Item).decode
_read_items = msgspec.json.Decoder(_Items).decode
_read_capabilities = msgspec.json.Decoder(_Capabilities).decode
_read_case = msgspec.json.Decoder(Case).decode
_read_cases = msgspec.json.Decoder(list[Case]).decode
_read_any = msgspec.json.Decoder().decode


def written(value: Any) -> bytes:
    """`value` as the body of a request."""
    return _encode(value)


def batch(questions: Sequence[Question]) -> bytes:
    """The body of one batch."""
    return _encode({"items": questions})


def service(status: int, body: bytes) -> Service:
    """What an answer about capabilities says; 404 is a plain version 1 service. Raises `Fault`."""
    if status == 404:
        return PLAIN
    check_status(status, body)
    named = decoded(_read_capabilities, body).capabilities
    return Service(True, _ALL if named is None else frozenset(named))


def verdict(body: bytes, question: Question) -> Verdict | None:
    """The answer to `question` alone; None where a shadow answer says that it was not evaluated. Raises `Fault`."""
    return _verdict(decoded(_read_answer, body), question)


def verdicts(body: bytes, questions: Sequence[Question]) -> list[Verdict | Fault | None]:
    """The answers to a batch, in the order of `questions`: each a verdict, its own fault, or None (not evaluated).

    Raises `Fault` where the answers are not exactly one for each question.
    """
    found: dict[str, msgspec.Raw] = {}
    faults: dict[str, Fault] = {}
    for raw in decoded(_read_items, body).items:
        item = decoded(_read_item, bytes(raw))
        if item.id in found:
            raise Fault("wrong", "answered one action twice")
        found[item.id] = raw
        if item.error is not None:
            text = _shown(item.error.detail)
            what = f"refused the action with status {item.error.status}{text}"
            faults[item.id] = Fault("answered", what, status=item.error.status)
    if len(found) != len(questions) or any(question.id not in found for question in questions):
        raise Fault("wrong", "answered with the id of another action")
    return [faults.get(q.id or "") or _verdict(decoded(_read_answer, bytes(found[q.id or ""])), q) for q in questions]


def _verdict(answer: _Answer, question: Question) -> Verdict | None:
    if question.id is not None and answer.id != question.id:
        raise Fault("wrong", "answered with the id of another action")
    if not answer.action_id or answer.action_id == "dry-run":
        raise Fault("wrong", f"answered the action id {answer.action_id!r}, under which nothing is stored")
    word: Word = answer.decision
    reasons = tuple(answer.reasons)
    rules = tuple(answer.would_have.rule_ids) if answer.would_have is not None else ()
    if question.shadow is True:
        if answer.would_have is not None:
            word, reasons = answer.would_have.decision, tuple(answer.would_have.reasons)
        elif answer.shadow_would_have is not None:
            word = answer.shadow_would_have
        else:
            return None
    outcome = Outcome(word)
    hits: tuple[Hit, ...] = ()
    if outcome is not Outcome.ALLOW:
        named = rules or reasons
        hits = tuple(Hit(rule, word, reasons[at] if at < len(reasons) else rule) for at, rule in enumerate(named))
    version = answer.policy_version
    return Verdict(
        outcome,
        reasons,
        hits,
        policy_name=version.rpartition("@v")[0] or None if version else None,
        policy_version=version,
        unusable=answer.unusable,
        action_id=answer.action_id,
        recorded=True,
        risk_score=int(answer.risk_score),
        threats=tuple(answer.threats),
    )


def case(body: bytes) -> Case:
    """One review case. Raises `Fault`."""
    found: Case = decoded(_read_case, body)
    return found


def case_of(body: bytes, action_id: str) -> Case | None:
    """The case of `action_id` in a list of cases; None where it isn't there. Raises `Fault`."""
    cases: list[Case] = decoded(_read_cases, body)
    return next((one for one in cases if one.action_id == action_id), None)


def results(pairs: Sequence[tuple[str, Result]]) -> bytes:
    """The body that tells how several actions ended."""
    return _encode({"items": [{"id": action_id, "result": result} for action_id, result in pairs]})


def redemption(
    digest: str, subject: str | None, action_type: str | None, route: str | None, tenant: str | None
) -> bytes:
    """The body that uses up an approval."""
    asked: Mapping[str, Any] = {
        "digest": digest, "subject": subject, "action_type": action_type, "route": route, "tenant": tenant,
    }  # fmt: skip
    return _encode({name: value for name, value in asked.items() if value is not None or name == "subject"})


def check_status(status: int, body: bytes, retry_after: str | None = None) -> None:
    """Raises `Fault` for every status that is no success, with the service's own words, escaped and bounded."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Fault("answered", f"answered with a redirect ({status}), which is not followed", status=status)
    raise Fault("answered", f"answered {status}{detail(body)}", status=status, retry_after=_seconds(retry_after))


def detail(body: bytes) -> str:
    """`: <detail>` of an error answer, or nothing."""
    try:
        found = _read_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return _shown(found.get("detail")) if type(found) is dict else ""


def _shown(text: Any) -> str:
    if text is None:
        return ""
    words = text if type(text) is str else _encode(text).decode()
    return f": {words[:_DETAIL_LIMIT].encode('unicode_escape').decode('ascii')}"


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 6 else None


def decoded(read: Any, body: bytes) -> Any:
    """What `read` makes of `body`. Raises `Fault`, which says nothing of what is in it."""
    try:
        return read(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Never the body itself: it may be anything, somebody's sign-in page or session included.
        reason = str(error).replace("\n", " ")[:_DETAIL_LIMIT] if isinstance(error, msgspec.ValidationError) else ""
        kind = "nothing" if not body.strip() else "what is no JSON" if not reason else "JSON of another shape"
    raise Fault("wrong", f"answered with {kind}{f' ({reason})' if reason else ''}")
