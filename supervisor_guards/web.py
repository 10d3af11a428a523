"""For authors of web adapters: the request's facts, rules for routes, payloads, answers, the coverage audit,
and the desk at which people read decisions and decide reviews (`Guard.desk`).

No framework is imported here, nothing waits for the network, and no verdict is made: `admit` asks the engine.
"""

from supervisor_guards._context import find_request
from supervisor_guards._default import find_guard, make_guard, provide_guard
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
from supervisor_guards._web.commands import ENGINE_COMMANDS, as_environment, run_command
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
from supervisor_guards._web.facts import (
    ANONYMOUS,
    DEFAULT_HEADERS,
    SECRET_HEADERS,
    UNKNOWN,
    Pick,
    RequestFacts,
    User,
    checked_user,
)
from supervisor_guards._web.payloads import apayload_source, build_payload, payload_source
from supervisor_guards._web.refusal import TYPE_BASE, Refusal, prefers_html
from supervisor_guards._web.routes import SAFE_METHODS, RouteInfo, RouteRules
from supervisor_guards._web.rules import RouteRule, place_rule
from supervisor_guards._web.ruling import (
    Result,
    Ruling,
    at_once,
    blocks,
    enforced,
    error_of,
    may_refuse,
    no_decision,
    no_guard,
    raising,
)
from supervisor_guards._web.settings import (
    OWN_KEYS,
    SETTING,
    UNKNOWN_KEY,
    Unresolved,
    UserResolver,
    WebSettings,
    read_settings,
)
from supervisor_guards._web.showing import laid_out, legible
from supervisor_guards._web.state import STATE_KEY, RequestState, Tripwire, get_state
from supervisor_guards._web.streams import Replay, Watch, read_up_to
from supervisor_guards._web.untyped import untyped_comparisons
from supervisor_guards._web.within import LazyFacts

__all__ = [
    "ANONYMOUS",
    "APPROVAL_HEADER",
    "DEFAULT_HEADERS",
    "DEFAULT_MAX_BODY_BYTES",
    "ENGINE_COMMANDS",
    "MAX_APPROVALS",
    "OWN_KEYS",
    "SAFE_METHODS",
    "SECRET_HEADERS",
    "SETTING",
    "STATE_KEY",
    "TYPE_BASE",
    "UNKNOWN",
    "UNKNOWN_KEY",
    "Body",
    "BodyStatus",
    "Choices",
    "Coverage",
    "DecisionQuery",
    "Desk",
    "Entry",
    "File",
    "Inspection",
    "LazyFacts",
    "NoDesk",
    "NotAReviewer",
    "OwnAction",
    "Page",
    "Pick",
    "Principal",
    "Refusal",
    "Replay",
    "RequestFacts",
    "RequestState",
    "Result",
    "Review",
    "ReviewNotFound",
    "ReviewQuery",
    "ReviewResolved",
    "RouteInfo",
    "RouteRule",
    "RouteRules",
    "Ruling",
    "StoredDecision",
    "Tripwire",
    "Unreadable",
    "Unresolved",
    "Unusable",
    "User",
    "UserResolver",
    "Watch",
    "WebSettings",
    "aadmit",
    "actions_of",
    "admit",
    "answers_at_once",
    "apayload_source",
    "approvals",
    "as_environment",
    "at_once",
    "audit",
    "blocks",
    "build_payload",
    "checked_user",
    "enforced",
    "enforces",
    "error_of",
    "exempt_reason",
    "find_guard",
    "find_request",
    "get_state",
    "laid_out",
    "layers",
    "legible",
    "location_of",
    "make_guard",
    "may_refuse",
    "modes_of",
    "no_decision",
    "no_guard",
    "own_name",
    "parse_body",
    "payload_source",
    "place_rule",
    "plain_actions_of",
    "prefers_html",
    "provide_guard",
    "raising",
    "read_settings",
    "read_up_to",
    "register",
    "registered",
    "run_command",
    "serving",
    "supervised_exempt",
    "untyped_comparisons",
]
