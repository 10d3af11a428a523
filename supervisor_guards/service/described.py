"""An OpenAPI 3.1 document from a table of operations and the types of their bodies and answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from supervisor_guards.service.sessions import SECURE_COOKIE
from supervisor_guards.service.shapes import Trouble

__all__ = ["Operation", "Query", "document"]

Who = Literal["nobody", "integration", "anybody", "person", "browser"]
_SCHEMES: dict[str, dict[str, Any]] = {
    "integration": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "HS256 under the integration's secret; `sub` is its id, `exp` is required.",
    },
    "program": {"type": "http", "scheme": "bearer", "description": "A token that a person made: `sgr_...`."},
    "administrator": {"type": "apiKey", "in": "header", "name": "X-Admin-Token"},
    "session": {"type": "apiKey", "in": "cookie", "name": SECURE_COOKIE},
}
_CALLERS: dict[Who, tuple[str, ...]] = {
    "nobody": (),
    "integration": ("integration",),
    "anybody": ("integration", "program", "administrator", "session"),
    "person": ("program", "administrator", "session"),
    "browser": ("session",),
}


class Query(msgspec.Struct, frozen=True):
    """A parameter: in the query, else a header."""

    name: str
    schema: Mapping[str, Any]
    where: Literal["query", "header"] = "query"
    text: str = ""


class Operation(msgspec.Struct, frozen=True):
    """What one endpoint takes and answers.

    `also` are statuses beside those that follow from the rest: 401 and 403 where somebody must call, 404 where the
    address has an id, 413 and 422 where there is a body or a parameter, 400 and 503 always.
    """

    method: str
    path: str
    summary: str
    who: Who = "anybody"
    answer: Any = None
    body: Any = None
    status: int = 200
    query: Sequence[Query] = ()
    also: Sequence[int] = ()
    media: str = "application/json"
    form: bool = False
    """Whether the body may be a page's form as well; it is answered with a redirection."""

    @property
    def others(self) -> tuple[int, ...]:
        """The statuses that refuse it, and other ones beside `status`."""
        found = {400, 503, *self.also}
        if self.who != "nobody":
            found |= {401, 403}
        if "{" in self.path:
            found.add(404)
        if self.body is not None:
            found |= {413, 422}
        if self.query:
            found.add(422)
        return tuple(sorted(found))


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The description of `operations`."""
    types = [kind for one in operations for kind in (one.body, one.answer) if kind is not None]
    (trouble, *schemas), components = msgspec.json.schema_components(
        [Trouble, *types], ref_template="#/components/schemas/{name}"
    )
    given = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        body = next(given) if one.body is not None else None
        answer = next(given) if one.answer is not None else {"type": "string"}
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, body, answer, trouble)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "supervisor-guards",
            "version": version,
            "description": "One check in front of risky actions: allow, deny, or ask a person.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _operation(one: Operation, body: Any, answer: Any, trouble: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": one.summary, "operationId": _identifier(one)}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", one.path)
    ]
    for named in one.query:
        parameter = {"name": named.name, "in": named.where, "required": False, "schema": dict(named.schema)}
        parameters.append({**parameter, "description": named.text} if named.text else parameter)
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        kinds = ["application/json", *(["application/x-www-form-urlencoded"] if one.form else [])]
        found["requestBody"] = {"required": True, "content": {kind: {"schema": body} for kind in kinds}}
    if one.who != "nobody":
        found["security"] = [{scheme: []} for scheme in _CALLERS[one.who]]
    answers = {str(one.status): _answer(one.status, answer, one.media)}
    if one.form:
        answers["303"] = {"description": "See Other: to a page of this service"}
    for status in one.others:
        if status == HTTPStatus.NOT_MODIFIED:
            answers[str(status)] = {"description": HTTPStatus(status).phrase}
        elif status < HTTPStatus.BAD_REQUEST:
            answers[str(status)] = _answer(status, answer, one.media)
        else:
            answers[str(status)] = _answer(status, trouble, "application/json")
    found["responses"] = answers
    return found


def _answer(status: int, schema: Any, media: str) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "content": {media: {"schema": schema}}}


def _identifier(one: Operation) -> str:
    words = re.findall(r"[a-z0-9]+", one.path.replace("/v1/", "/").lower())
    return "_".join([one.method.lower(), *words])
