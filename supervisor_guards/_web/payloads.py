"""From a rule and a request to the payload that the engine judges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from supervisor_guards._markers import Unreadable, Unusable
from supervisor_guards._web.bodies import Body, picked, repeated, unparsed_reason
from supervisor_guards._web.facts import RequestFacts
from supervisor_guards._web.fields import MISSING, Fault, read
from supervisor_guards._web.rules import RouteRule

PayloadSource = Callable[[], Any]


def build_payload(rule: RouteRule, facts: RequestFacts) -> dict[str, Any] | Unusable:
    """The payload of `rule` for the request, for a rule without a callable.

    With field references, each lands under its name; a field that the request doesn't have is left out. Without
    them, everything is namespaced: `path`, `query`, `body`, `body_status`. `repeated` has all values of query and
    form names that come more than once, where there are any. `Unusable` says that a reference can't be answered:
    the engine refuses it in enforce, and records it in shadow.
    """
    if rule.references is None:
        return _namespaced(rule, facts)
    payload: dict[str, Any] = {}
    fault = None
    for reference in rule.references:
        try:
            value = read(reference, facts)
        except Fault as found:
            fault = fault or str(found)
            value = Unreadable(str(found), facts.body.digest)
        if value is not MISSING:
            payload[reference.name] = value
    again = _repeated(facts)
    if again:
        again = {source: _asked(rule, source, names) for source, names in again.items()}
        if any(again.values()):
            payload.setdefault("repeated", {source: names for source, names in again.items() if names})
    return payload if fault is None else Unusable(fault, payload)


def payload_source(rule: RouteRule, facts: RequestFacts, request: Any = None) -> PayloadSource:
    """What `admit` takes: a callable payload gets `request`, the framework's own; it runs inside the engine."""
    call = rule.payload_call
    if call is None:
        return lambda: build_payload(rule, facts)
    return lambda: call(request)


async def apayload_source(rule: RouteRule, facts: RequestFacts, request: Any = None) -> PayloadSource:
    """`payload_source` where the callable may be a coroutine function; what it raises is raised in the engine."""
    call = rule.payload_call
    if call is None:
        return lambda: build_payload(rule, facts)
    try:
        value = call(request)
        if isinstance(value, Awaitable):
            value = await value
    except Exception as error:
        caught = error

        def failed() -> Any:
            raise caught

        return failed
    return lambda: value


def _namespaced(rule: RouteRule, facts: RequestFacts) -> dict[str, Any] | Unusable:
    body = facts.body
    payload: dict[str, Any] = {
        "path": dict(facts.path),
        "query": picked(facts.query, facts.pick),
        "body_status": body.status,
    }
    again = _repeated(facts)
    if again:
        payload["repeated"] = again
    if rule.body == "metadata":
        payload["body_metadata"] = {"content_type": body.content_type, "length": body.size}
    elif rule.body != "none":
        payload["body"] = _content(body, facts)
        if body.files:
            payload["files"] = list(body.files)
    payload = _narrowed(payload, rule.include, rule.exclude)
    if body.ambiguous and "body" in payload:
        return Unusable("ambiguous-payload", payload)
    return payload


def _repeated(facts: RequestFacts) -> dict[str, dict[str, list[str]]]:
    found = {"query": repeated(facts.query), "form": repeated(facts.body.form or ())}
    return {source: names for source, names in found.items() if names}


def _asked(rule: RouteRule, source: str, names: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those of `names` that `rule` reads; a form's fields may be asked for as the body's."""
    sources = (source, "body") if source == "form" else (source,)
    read_names = {one.path[0] for one in rule.references or () if one.source in sources and one.path}
    return {name: values for name, values in names.items() if name in read_names}


def _content(body: Body, facts: RequestFacts) -> Any:
    if body.status == "absent":
        return None
    reason = unparsed_reason(body)
    if reason is not None and reason != "ambiguous-payload":
        return Unreadable(reason, body.digest)
    if body.data is None and body.form is not None:
        return picked(body.form, facts.pick)
    return body.data


def _narrowed(
    payload: dict[str, Any], include: tuple[tuple[str, ...], ...], exclude: tuple[tuple[str, ...], ...]
) -> dict[str, Any]:
    """`payload` with only what `include` names, without what `exclude` names; `body_status` always stays."""
    if include:
        kept: dict[str, Any] = {"body_status": payload["body_status"]}
        for path in include:
            _copy(payload, kept, path)
        payload = kept
    for path in exclude:
        payload = _without(payload, path)
    return payload


def _copy(source: Any, target: dict[str, Any], path: tuple[str, ...]) -> None:
    for part in path[:-1]:
        if not isinstance(source, dict) or part not in source:
            return
        if not isinstance(source[part], dict):
            target[part] = source[part] if isinstance(source[part], Unreadable) else Unreadable("other-shape")
            return
        source, target = source[part], target.setdefault(part, {})
    if isinstance(source, dict) and path[-1] in source:
        target[path[-1]] = source[path[-1]]


def _without(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_without(item, path) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}
