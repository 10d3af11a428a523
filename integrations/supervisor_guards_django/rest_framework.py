"""Django REST framework: views ask after authentication, about what their parsers made of the body.

A refusal is an exception of the framework, so its own handler answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from django.http import HttpRequest, QueryDict
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Empty
from rest_framework.views import APIView

from supervisor_guards.errors import ConfigurationError, GuardError
from supervisor_guards.web import Body, RequestFacts, Result, RouteRule, Ruling, enforced, no_guard, place_rule
from supervisor_guards_django.answers import refusal_of
from supervisor_guards_django.bodies import form_body, read_body, seen_body
from supervisor_guards_django.decorators import Payload, refuse_order
from supervisor_guards_django.facts import place_of
from supervisor_guards_django.judging import may_be_refused, observe, rule_on, state_of
from supervisor_guards_django.own import BY_ACTION, MARK, names_of_handler
from supervisor_guards_django.running import handles
from supervisor_guards_django.steps import GuardInUse, drive

_PASSED = "supervisor_guards_passed"
"""Under this name a view keeps which rules it was judged by, and for which request."""


class Refused(APIException):
    """A refusal, for the framework's exception handler: `detail` is the problem (RFC 9457).

    `error` is what the guard raised: `SupervisorBlocked`, `SupervisorReviewPending` or `SupervisorUnavailable`.
    """

    def __init__(
        self, error: GuardError, request: HttpRequest, action: str | None, facts: RequestFacts | None = None
    ) -> None:
        problem_only = refusal_of(error, request, action, facts)
        problem = json.loads(problem_only.body)
        code = problem["type"].rpartition("/")[2]
        super().__init__(problem["title"], code)
        self.error = error
        self.detail = problem
        self.status_code = problem_only.status
        self.headers = dict(problem_only.headers)
        self._code = code

    def get_codes(self) -> str:
        return self._code

    def get_full_details(self) -> dict[str, Any]:
        return {"message": self.detail["title"], "code": self._code}


class SupervisedMixin:
    """For views and view sets: `class Refunds(SupervisedMixin, ViewSet): supervised_action = {"create": "refund"}`.

    `supervised_action` is the action type, or those of single handlers: by a view set's action, or by the method in
    lower case. `supervised_payload` and `supervised_options` are `payload` and the other arguments of `RouteRule`.
    A payload callable gets the framework's request. Raises `ConfigurationError` where the class is defined.
    """

    supervised_action: ClassVar[str | Mapping[str, str] | None] = None
    supervised_payload: ClassVar[Payload | None] = None
    supervised_options: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        named = cls.supervised_action
        if named is None:
            return
        refuse_order(cls, SupervisedMixin, APIView)
        payload = cls.__dict__.get("supervised_payload", cls.supervised_payload)
        if isinstance(named, str):
            setattr(cls, MARK, (place_rule(named, payload=payload, **cls.supervised_options),))
        elif isinstance(named, Mapping):
            made = {key: place_rule(one, payload=payload, **cls.supervised_options) for key, one in named.items()}
            setattr(cls, BY_ACTION, made)
        else:
            raise ConfigurationError(f"supervised_action={named!r}: give an action type, or a mapping of handlers")

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        by_action = getattr(self, BY_ACTION, {})
        actions = getattr(self, "action_map", None) or {}
        found = [by_action[name] for name in names_of_handler(request.method.lower(), actions) if name in by_action]
        for rule in (*getattr(self, MARK, ()), *found[:1]):
            _judge(self, request, rule)


def supervised_permission(action: str, *, payload: Payload | None = None, **options: Any) -> type[BasePermission]:
    """A permission class that asks: `permission_classes = [IsAuthenticated, supervised_permission("refund")]`.

    List it last, so that only what is permitted otherwise is judged. `options` are the other arguments of
    `RouteRule`. Raises `ConfigurationError`.
    """
    rule = place_rule(action, payload=payload, **options)

    class Supervised(BasePermission):
        def has_permission(self, request: Any, view: Any) -> Any:
            return _judge(view, request, rule)

    setattr(Supervised, MARK, (rule,))
    return Supervised


def _judge(view: Any, request: Any, rule: RouteRule) -> bool:
    """Judge the request once. Raises `Refused`; False only for a form that the browsable API would offer.

    The browsable API and the metadata ask for other methods, on clones, once the view has its answer or is at it:
    nothing is about to happen there. A view is made for each request, so the same rule in a batch asks again.
    """
    plain = request._request
    real, passed = _seen_by(view, request)
    rendering = hasattr(view, "response") and request is not real
    if rendering or (request is not real and request.method != plain.method):
        return passed.get(id(rule), True) if request.method == plain.method else True
    method = str(request.method).upper()
    if not rule.covers(method) or not handles(view, method, view.http_method_names, getattr(view, "action_map", None)):
        return True
    if id(rule) in passed:
        return passed[id(rule)]
    place = place_of(plain, type(view), view.args, view.kwargs)
    state = state_of(plain)
    try:
        guard = drive(_guard())
        may_refuse = bool(enforced(guard, [rule])[0])
    except Exception as error:
        if not may_be_refused([rule]):
            return True
        raise Refused(no_guard(error), plain, rule.action) from error
    if not may_refuse:
        passed[id(rule)] = True

        def seen(result: Result) -> None:
            drive(observe(guard, [rule], plain, place, state, None, body=_seen(request, rule), shown=request)).settle(
                result
            )

        _at_end(view, seen)
        return True
    body = _body(request, rule)
    ruling: Ruling = drive(rule_on(guard, [rule], plain, place, state, body=body, shown=request))
    passed[id(rule)] = ruling.error is None
    if ruling.error is not None:
        refused = Refused(ruling.error, plain, ruling.action, ruling.facts)
        _answered(view, refused)
        raise refused
    _at_end(view, ruling.settle)
    return True


def _seen_by(view: Any, request: Any) -> tuple[Any, dict[int, bool]]:
    """The request that `view` was called with, and its answers by rule so far."""
    real, passed = vars(view).get(_PASSED, (None, {}))
    if real is None or real._request is not request._request:
        real, passed = vars(view)[_PASSED] = (request, {})
    return real, passed


def _guard() -> Any:
    return (yield GuardInUse())


def _body(request: Any, rule: RouteRule) -> Body:
    """The body as the framework's parsers read it. What they raise (400, 415) goes on to the framework."""
    plain = request._request
    if not rule.reads_body:
        return read_body(plain, rule)
    raw = Body("parsed") if _is_upload(plain) else read_body(plain, rule)
    return raw if raw.status == "too_large" else _with_data(raw, request, content=True)


def _seen(request: Any, rule: RouteRule) -> Body:
    """The same as far as the view has asked for it."""
    if not rule.reads_body or request._full_data is Empty:
        return seen_body(request._request, rule, None)
    raw = seen_body(request._request, rule, None)
    if (raw.size or 0) > rule.max_body_bytes and not _is_upload(request._request):
        return Body("too_large", size=raw.size, content_type=raw.content_type)
    return _with_data(
        Body("parsed", content_type=raw.content_type) if raw.status == "unread" else raw, request, content=False
    )


def _with_data(raw: Body, request: Any, *, content: bool) -> Body:
    data = request.data
    if raw.status == "absent":
        return raw
    if isinstance(data, QueryDict):
        return form_body(request._request, data, request.FILES, content=content)
    return msgspec.structs.replace(raw, status="parsed", data=data, form=None)


def _is_upload(plain: HttpRequest) -> bool:
    return (plain.content_type or "").lower() == "multipart/form-data"


def _at_end(view: Any, done: Callable[[Result], None]) -> None:
    """Call `done` with the result once this view has answered, or failed for good."""
    finalize, handle = view.finalize_response, view.handle_exception
    raised = False

    def handle_exception(error: Exception) -> Any:
        nonlocal raised
        raised = True
        try:
            return handle(error)
        except Exception:
            done("raised")
            raise

    def finalize_response(request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = finalize(request, response, *args, **kwargs)
        done("raised" if raised or answer.status_code >= 500 else "returned")
        return answer

    view.finalize_response, view.handle_exception = finalize_response, handle_exception


def _answered(view: Any, refused: Refused) -> None:
    """Give the handler's answer the headers of a refusal, and the problem's media type where it is the problem."""
    finalize = view.finalize_response

    def finalize_response(request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(response, "data", None) is refused.detail:
            for name in ("Cache-Control", "Retry-After"):
                if name in refused.headers:
                    response[name] = refused.headers[name]
            if getattr(getattr(request, "accepted_renderer", None), "format", None) == "json":
                response.content_type = refused.headers["Content-Type"]
        return finalize(request, response, *args, **kwargs)

    view.finalize_response = finalize_response
