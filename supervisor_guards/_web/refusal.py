"""A refusal as an HTTP answer, made once for every framework (RFC 9457)."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import msgspec

from supervisor_guards._web.bodies import unparsed_reason
from supervisor_guards._web.facts import RequestFacts
from supervisor_guards.errors import (
    ApprovalInvalid,
    ApprovalUsed,
    GuardError,
    PayloadUnusable,
    SupervisorBlocked,
    SupervisorReviewPending,
)

TYPE_BASE = "https://supervisor-guards.readthedocs.io/problems/"
"""What the `type` of a problem begins with."""
DEFAULT_RETRY_SECONDS = {"approval-required": 30, "supervisor-unavailable": 5}
_PROBLEM_JSON = "application/problem+json"
_HTML = "text/html; charset=utf-8"


class Kind(msgspec.Struct, frozen=True):
    """One sort of problem: the end of its `type`, its status and its title."""

    name: str
    status: int
    title: str


DENIED = Kind("denied", 403, "This action is not allowed.")
APPROVAL_REQUIRED = Kind("approval-required", 403, "This action needs a person's approval.")
APPROVAL_INVALID = Kind("approval-invalid", 403, "The approval can't be used for this request.")
APPROVAL_USED = Kind("approval-used", 409, "The approval has been used already.")
UNAVAILABLE = Kind("supervisor-unavailable", 503, "The action can't be checked at the moment.")
AMBIGUOUS = Kind("ambiguous-payload", 400, "The request can be read in more than one way.")
UNUSABLE = Kind("payload-unusable", 400, "The request's content can't be checked.")
TOO_LARGE = Kind("payload-too-large", 413, "The request's content is too large to be checked.")
UNSUPPORTED = Kind("unsupported-type", 415, "The request's content is of a type that can't be checked.")

_BY_REASON: Mapping[str, Kind] = {
    "ambiguous-payload": AMBIGUOUS,
    "body-too-large": TOO_LARGE,
    "too-large": TOO_LARGE,
    "unsupported-type": UNSUPPORTED,
    "body-encoded": UNSUPPORTED,
}


class Refusal(msgspec.Struct, frozen=True):
    """What an adapter answers instead of calling the endpoint. A HEAD request gets it without the body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def of(
        cls,
        error: GuardError,
        *,
        action: str | None = None,
        review_url: str | None = None,
        retry_after: int | None = None,
        facts: RequestFacts | None = None,
        accept: str = "",
    ) -> Refusal:
        """The answer for `error`, which a decision holds or a guarded call raised.

        `review_url` is where the client may look at the case, `retry_after` in seconds. `facts` tell why a body
        can't be judged; `accept` is the request's header: a browser gets a small page. Neither the payload nor
        the reasons are part of the answer.
        """
        kind = _kind(error, facts)
        problem: dict[str, Any] = {"type": TYPE_BASE + kind.name, "title": kind.title, "status": kind.status}
        action_id = getattr(error, "action_id", None)
        if action_id:
            problem["instance"] = f"urn:supervisor-guards:action:{action_id}"
        if action:
            problem["action"] = action
        headers = [("Cache-Control", "no-store"), ("Vary", "Accept")]
        if kind is APPROVAL_REQUIRED and review_url:
            problem["review_url"] = review_url
        if kind.name in DEFAULT_RETRY_SECONDS:
            seconds = DEFAULT_RETRY_SECONDS[kind.name] if retry_after is None else retry_after
            headers.append(("Retry-After", str(seconds)))
        page = prefers_html(accept)
        body = _page(problem) if page else msgspec.json.encode(problem)
        headers += [("Content-Type", _HTML if page else _PROBLEM_JSON), ("Content-Length", str(len(body)))]
        return cls(kind.status, tuple(headers), body)


def _kind(error: GuardError, facts: RequestFacts | None) -> Kind:
    if isinstance(error, SupervisorReviewPending):
        return APPROVAL_REQUIRED
    if isinstance(error, ApprovalUsed):
        return APPROVAL_USED
    if isinstance(error, ApprovalInvalid):
        # The client has the right case, and only has to wait: the same answer as the first time.
        return APPROVAL_REQUIRED if error.reasons == ["pending"] else APPROVAL_INVALID
    if isinstance(error, PayloadUnusable):
        return _unusable(error, facts)
    # What is no refusal is a fault of ours or of the settings; it must not look like somebody's decision.
    return DENIED if isinstance(error, SupervisorBlocked) else UNAVAILABLE


def _unusable(error: PayloadUnusable, facts: RequestFacts | None) -> Kind:
    """By the payload's own fault; where a rule met a marker instead, by what became of the body."""
    for reason in error.reasons:
        if reason in _BY_REASON:
            return _BY_REASON[reason]
    met_marker = any(reason.startswith("rule-error:") for reason in error.reasons)
    why = unparsed_reason(facts.body) if facts is not None and met_marker else None
    return UNUSABLE if why is None else _BY_REASON.get(why, UNUSABLE)


def prefers_html(accept: str) -> bool:
    """Whether a client would rather have a page than JSON (RFC 9110, section 12.5.1). By default it wouldn't."""
    best = {"html": 0.0, "json": 0.0}
    for item in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = _weight(parameters)
        if kind in ("text/html", "application/xhtml+xml"):
            best["html"] = max(best["html"], weight)
        elif kind in ("application/json", "application/problem+json"):
            best["json"] = max(best["json"], weight)
    return best["html"] > best["json"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0
    return 1.0


def _page(problem: Mapping[str, Any]) -> bytes:
    title = html.escape(problem["title"])
    lines = [
        f"<p>{html.escape(name)}: {html.escape(str(problem[name]))}</p>"
        for name in ("action", "instance")
        if name in problem
    ]
    if "review_url" in problem:
        lines.append(f'<p><a href="{html.escape(problem["review_url"])}">See where the review stands</a></p>')
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title></head><body><h1>{title}</h1>{''.join(lines)}</body></html>"
    )
    return page.encode()
