"""For authors of web adapters: the request's facts, rules for routes, payloads, answers, the coverage audit,
and the desk at which people read decisions and decide reviews (`Guard.desk`).

No framework is imported here, nothing waits for the network, and no verdict is made: `admit` asks the engine.
"""

from supervisor_guards._default import provide_guard
from supervisor_guards._desk import (
    Choices,
    DecisionQuery,
    Desk,
    NoDesk,
    NotAReviewer,
    OwnAction,
    Page,
    Principal,
    ReviewNotFound,
    ReviewQuery,
    ReviewResolved,
    own_name,
)
from supervisor_guards._markers import Unreadable, Unusable
from supervisor_guards._model import Entry
from supervisor_guards._records import Review, StoredDecision
from supervisor_guards._web.admission import aadmit, admit, answers_at_once, enforces, serving
from supervisor_guards._web.approvals import APPROVAL_HEADER, MAX_APPROVALS, approvals
from supervisor_guards._web.bodies import DEFAULT_MAX_BODY_BYTES, Body, BodyStatus, File, parse_body
from supervisor_guards._web.coverage import (
    Coverage,
    Inspection,
    actions_of,
    audit,
    exempt_reason,
    modes_of,
    plain_actions_of,
    register,
    registered,
    supervised_exempt,
)
from supervisor_guards._web.endpoints import layers, location_of
from supervisor_guards._web.facts import ANONYMOUS, DEFAULT_HEADERS, SECRET_HEADERS, UNKNOWN, Pick, RequestFacts, User
from supervisor_guards._web.payloads import apayload_source, build_payload, payload_source
from supervisor_guards._web.refusal import TYPE_BASE, Refusal, prefers_html
from supervisor_guards._web.routes import SAFE_METHODS, RouteInfo, RouteRules
from supervisor_guards._web.rules import RouteRule
from supervisor_guards._web.showing import laid_out, legible
from supervisor_guards._web.state import STATE_KEY, RequestState, Tripwire, get_state
from supervisor_guards._web.untyped import untyped_comparisons

__all__ = [
    "ANONYMOUS",
    "APPROVAL_HEADER",
    "DEFAULT_HEADERS",
    "DEFAULT_MAX_BODY_BYTES",
    "MAX_APPROVALS",
    "SAFE_METHODS",
    "SECRET_HEADERS",
    "STATE_KEY",
    "TYPE_BASE",
    "UNKNOWN",
    "Body",
    "BodyStatus",
    "Choices",
    "Coverage",
    "DecisionQuery",
    "Desk",
    "Entry",
    "File",
    "Inspection",
    "NoDesk",
    "NotAReviewer",
    "OwnAction",
    "Page",
    "Pick",
    "Principal",
    "Refusal",
    "RequestFacts",
    "RequestState",
    "Review",
    "ReviewNotFound",
    "ReviewQuery",
    "ReviewResolved",
    "RouteInfo",
    "RouteRule",
    "RouteRules",
    "StoredDecision",
    "Tripwire",
    "Unreadable",
    "Unusable",
    "User",
    "aadmit",
    "actions_of",
    "admit",
    "answers_at_once",
    "apayload_source",
    "approvals",
    "audit",
    "build_payload",
    "enforces",
    "exempt_reason",
    "get_state",
    "laid_out",
    "layers",
    "legible",
    "location_of",
    "modes_of",
    "own_name",
    "parse_body",
    "payload_source",
    "plain_actions_of",
    "prefers_html",
    "provide_guard",
    "register",
    "registered",
    "serving",
    "supervised_exempt",
    "untyped_comparisons",
]
