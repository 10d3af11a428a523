"""Every endpoint of the API as data: its description is made of this, and a test compares it with the routes."""

from __future__ import annotations

from typing import Any

from supervisor_guards._model import PRIORITIES
from supervisor_guards.service import shapes
from supervisor_guards.service.api import actions, desk, integrations, people, policies, reviews, session, webhooks
from supervisor_guards.service.described import Operation as Op
from supervisor_guards.service.described import Query
from supervisor_guards.service.judging import Asked
from supervisor_guards.service.metrics import WINDOWS, Summary
from supervisor_guards.service.webhooks.deliveries import PAGE, STATUSES

__all__ = ["OPERATIONS"]

_TEXT: dict[str, Any] = {"type": "string"}
_WINDOW = Query("window", {"type": "string", "enum": list(WINDOWS), "default": "24h"})
_BEFORE = Query("before", _TEXT, text="Where the page before ended: the `Link` header has it.")
_CURSOR = Query("before", {"type": "integer", "minimum": 1}, text="Where the page before ended, as `Link` has it.")
_CSRF = Query("X-CSRF-Token", _TEXT, "header", "With a session's cookie: what `GET /v1/session` tells.")


def _flag(name: str) -> Query:
    return Query(name, {"type": "boolean"})


def _limit(most: int) -> Query:
    return Query("limit", {"type": "integer", "minimum": 1, "maximum": most})


def _one_of(name: str, *choices: str) -> Query:
    return Query(name, {"type": "string", "enum": list(choices)})


_MOMENT: dict[str, Any] = {"type": "integer", "minimum": 0}
_SEARCHED = (
    *(Query(name, _TEXT) for name in ("action_type", "route", "subject", "text")),
    Query("since", _MOMENT, text="From then on: microseconds since the epoch."),
    Query("until", _MOMENT, text="Before then."),
)

_RUNNING = (
    Op("GET", "/healthz", "The process answers.", "nobody", shapes.State),
    Op("GET", "/readyz", "The process and its database answer.", "nobody", shapes.State),
    Op("GET", "/metrics", "Counters for Prometheus, as the setting `metrics` allows.", "person", media="text/plain"),
    Op("GET", "/openapi.json", "This description.", "nobody", dict[str, Any]),
    Op(
        "GET", "/v1/decisions/export", "All decisions as JSON lines, for `supervisor-guards replay`.", "person",
        media="application/x-ndjson",
    ),
    Op("GET", "/v1/metrics/summary", "What was judged and blocked in a window.", answer=Summary, query=(_WINDOW,)),
    Op("GET", "/v1/metrics/enforcement", "The same, under its other name.", answer=Summary, query=(_WINDOW,)),
)  # fmt: skip

_ACTIONS = (
    Op(
        "POST", "/v1/actions/evaluate", "Judge an action.", "integration", shapes.Verdict, Asked,
        query=(_flag("dry_run"),), also=(409, 429),
    ),
    Op(
        "POST", "/v1/actions/evaluate/batch", "Judge many actions, each by itself.", "integration", shapes.Answers,
        shapes.Items, also=(429,),
    ),
    Op(
        "POST", "/v1/actions/results", "Note how several actions ended.", "integration", shapes.Count, actions.Endings
    ),
    Op(
        "POST", "/v1/actions/{action_id}/result", "Note how an action ended.", "integration", shapes.Noted,
        actions.Ended,
    ),
    Op(
        "GET", "/v1/actions/recent", "The newest decisions.", answer=list[shapes.StoredDecision],
        query=(
            _one_of("decision", "allow", "deny", "review"), _limit(500), _flag("include_shadow"), _CURSOR, *_SEARCHED,
            _one_of("mode", *desk.MODES), _one_of("outcome", *desk.OUTCOMES), _one_of("would_have", *desk.OUTCOMES),
            _one_of("status", *desk.STATUSES), Query("rule", _TEXT),
        ),
    ),
    Op("GET", "/v1/decisions/{action_id}", "One decision.", answer=shapes.StoredDecision),
    Op("GET", "/v1/decisions/{action_id}/evidence", "The evidence of one action.", answer=shapes.Evidence),
    Op("GET", "/v1/capabilities", "What this service has beside version 1.", "nobody", shapes.Capabilities),
    Op("GET", "/v1/action-types", "The action types that a policy covers.", "nobody", shapes.ActionTypes),
)  # fmt: skip

_REVIEWS = (
    Op(
        "GET", "/v1/review-cases", "A page of reviews; with `action_id` one, for which `wait` (s) gives time.",
        answer=list[shapes.ReviewCase],
        query=(
            _one_of("status", *reviews.STATUSES), _limit(100), _BEFORE, Query("action_id", _TEXT),
            Query("wait", {"type": "integer", "minimum": 0, "maximum": reviews.LONGEST_WAIT}), *_SEARCHED,
            _one_of("state", *desk.STATES), _one_of("priority", *PRIORITIES), _one_of("order", *desk.ORDERS),
        ),
    ),
    Op("GET", "/v1/review-cases/{case_id}", "One review.", answer=shapes.ReviewCase),
    Op(
        "POST", "/v1/review-cases/{case_id}/resolve", "Approve or reject a review, once.", answer=shapes.ReviewCase,
        body=reviews.Resolution, also=(409,),
        query=(Query("X-Approver", _TEXT, "header", "In whose name the administrator's token resolves."), _CSRF),
    ),
    Op(
        "POST", "/v1/review-cases/{case_id}/abandon", "Close a review that nobody needs any more.", "person",
        shapes.ReviewCase, reviews.Abandonment, query=(_CSRF,), also=(409,),
    ),
    Op(
        "GET", "/v1/desk", "How many reviews wait, what there is to filter by, and when decisions were made.",
        answer=shapes.Desk,
        query=(Query("window", {"type": "string", "pattern": r"^\d+-\d+$"}, text="<from>-<before>, microseconds."),),
    ),
    Op(
        "POST", "/v1/approvals/{action_id}/redeem", "Use up an approval, once: 425 pending, 409 used, 410 expired.",
        "integration", shapes.Used, reviews.Redemption, also=(409, 410, 425),
    ),
)  # fmt: skip

_INTEGRATIONS = (
    Op(
        "POST", "/v1/integrations", "Make an integration.", "person", shapes.NewIntegration, integrations.Wanted, 201,
        (_CSRF,), (409,),
    ),
    Op("GET", "/v1/integrations", "All integrations.", "person", list[shapes.ListedIntegration]),
    Op(
        "PATCH", "/v1/integrations/{integration_id}", "Change what it may.", "person", shapes.ListedIntegration,
        integrations.Change, query=(_CSRF,),
    ),
    Op(
        "POST", "/v1/integrations/{integration_id}/rotate-secret", "A new secret; the former stays good for a while.",
        "person", shapes.NewIntegration, query=(_CSRF,),
    ),
    Op(
        "POST", "/v1/integrations/{integration_id}/revoke", "End it.", "person", shapes.ListedIntegration,
        query=(_CSRF,),
    ),
)  # fmt: skip

_PEOPLE = (
    Op(
        "POST", "/v1/people", "Make an account.", "person", shapes.ListedPerson, people.NewPerson, 201, (_CSRF,), (409,)
    ),
    Op("GET", "/v1/people", "All accounts.", "person", list[shapes.ListedPerson]),
    Op("GET", "/v1/people/{person_id}", "One account.", "person", shapes.ListedPerson),
    Op(
        "PATCH", "/v1/people/{person_id}", "Another role or other names.", "person", shapes.ListedPerson,
        people.Change, query=(_CSRF,), also=(409,),
    ),
    Op(
        "POST", "/v1/people/{person_id}/password", "Another password, or none.", "person", shapes.ListedPerson,
        people.NewPassword, query=(_CSRF,), also=(409,),
    ),
    Op(
        "POST", "/v1/people/{person_id}/disable", "Shut somebody out.", "person", shapes.ListedPerson,
        query=(_CSRF,), also=(409,),
    ),
    Op(
        "POST", "/v1/people/{person_id}/enable", "Let somebody in again.", "person", shapes.ListedPerson,
        query=(_CSRF,), also=(409,),
    ),
    Op(
        "POST", "/v1/session", "Sign in.", "nobody", shapes.Session, session.Credentials, also=(401, 403, 429),
        form=True,
    ),
    Op("GET", "/v1/session", "Who calls.", "person", shapes.Session),
    Op("DELETE", "/v1/session", "Sign out.", "browser", shapes.State, query=(_CSRF,)),
    Op("POST", "/v1/session/end", "Sign out, for a page's form.", "browser", shapes.State, query=(_CSRF,), form=True),
    Op(
        "POST", "/v1/session/password", "Another password of one's own.", "browser", shapes.Session,
        session.OwnPassword, query=(_CSRF,), also=(409, 429),
    ),
    Op(
        "GET", "/v1/tokens", "One's own tokens; an administrator asks for somebody's.", "person",
        list[shapes.ListedToken], query=(Query("person_id", _TEXT),),
    ),
    Op(
        "POST", "/v1/tokens", "Make a token for a program.", "browser", shapes.NewToken, session.NewToken, 201,
        (_CSRF,), (409,),
    ),
    Op("POST", "/v1/tokens/{token_id}/revoke", "End a token.", "person", shapes.ListedToken, query=(_CSRF,)),
)  # fmt: skip

_POLICIES = (
    Op(
        "POST", "/v1/policies", "Store a policy document as a version.", "person", shapes.ChangedPolicy,
        policies.Wanted, 201, (_CSRF,), (200, 409),
    ),
    Op(
        "GET", "/v1/policies", "A page of versions.", "person", list[shapes.PolicyVersion],
        query=(Query("action_type", _TEXT), _flag("active"), _limit(policies.PAGE), _BEFORE),
    ),
    Op(
        "GET", "/v1/policies/bundle", "The versions in force.", answer=dict[str, list[dict[str, Any]]], also=(304,),
        query=(Query("If-None-Match", _TEXT, "header"),),
    ),
    Op("GET", "/v1/policies/{policy_id}", "One version with its text.", "person", shapes.PolicyWithText),
    Op(
        "POST", "/v1/policies/{policy_id}/promote", "Put a version in force.", "person", shapes.ChangedPolicy,
        query=(_CSRF,), also=(409,),
    ),
    Op(
        "POST", "/v1/policies/{policy_id}/deactivate", "Take a version out of force.", "person", shapes.ChangedPolicy,
        query=(_CSRF,), also=(409,),
    ),
    Op(
        "POST", "/v1/policies/{policy_id}/test", "What a version says to a payload.", "person", shapes.Tested,
        policies.Tried, query=(_CSRF,),
    ),
    Op(
        "GET", "/v1/policies/{policy_id}/diff", "How two versions differ.", "person", dict[str, Any],
        query=(Query("against", _TEXT),),
    ),
    *(
        Op(
            method, "/v1/policies/{policy_id}/replay", "What a version says to the decisions of a window.", "person",
            dict[str, Any], query=(_WINDOW, _limit(10**9)),
        )
        for method in ("GET", "POST")
    ),
)  # fmt: skip

_WEBHOOKS = (
    Op(
        "POST", "/v1/webhooks", "Subscribe a receiver.", "person", shapes.NewWebhook, webhooks.WantedWebhook, 201,
        (_CSRF,), (409,),
    ),
    Op(
        "GET", "/v1/webhooks", "A page of webhooks.", "person", list[shapes.Webhook],
        query=(_limit(PAGE), _BEFORE),
    ),
    Op("GET", "/v1/webhooks/{webhook_id}", "One webhook.", "person", shapes.Webhook),
    Op(
        "POST", "/v1/webhooks/{webhook_id}/rotate-secret", "A new secret; both sign for a while.", "person",
        shapes.NewWebhook, query=(_CSRF,), also=(409,),
    ),
    Op(
        "POST", "/v1/webhooks/{webhook_id}/disable", "End it.", "person", shapes.Webhook, query=(_CSRF,), also=(409,)
    ),
    Op(
        "POST", "/v1/webhooks/{webhook_id}/test", "Send a test.", "person", shapes.Delivery, None, 202, (_CSRF,),
        (409,),
    ),
    Op(
        "GET", "/v1/webhooks/{webhook_id}/deliveries", "A page of its deliveries.", "person", list[shapes.Delivery],
        query=(_limit(PAGE), _CURSOR, _one_of("status", *STATUSES)),
    ),
    Op(
        "GET", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", "One delivery.", "person",
        shapes.DeliveryWithBody,
    ),
    Op(
        "POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", "Send it again.", "person",
        shapes.Delivery, None, 202, (_CSRF,), (409,),
    ),
)  # fmt: skip

OPERATIONS: tuple[Op, ...] = (*_ACTIONS, *_REVIEWS, *_INTEGRATIONS, *_PEOPLE, *_POLICIES, *_WEBHOOKS, *_RUNNING)
