"""How the parts of a rule are written: each function reads one, and notes in `problems` what is wrong with it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from supervisor_guards._settings import suggestion
from supervisor_guards._web.fields import Reference, parse_reference

SampleKey = Callable[[str, Any], str]
Path = tuple[str, ...]

_METHOD = re.compile(r"[A-Za-z]+(-[A-Za-z]+)*", re.ASCII)
_NARROWABLE = ("path", "query", "body", "files", "repeated")


def place(route: Any, problems: list[str]) -> tuple[str | None, str | None, str | None]:
    """The method, the template and the name in `route`; a route has one of the latter two."""
    if not isinstance(route, str) or not route.strip():
        problems.append(f"route={route!r}: write 'POST /refunds/{{order_id}}', or a route's name")
        return None, None, None
    route = route.strip()
    if route.startswith("/"):
        return None, route, None
    first, space, rest = route.partition(" ")
    if not space:
        return None, None, first
    if not rest.lstrip().startswith("/"):
        problems.append(f"route={route!r}: after a method comes a template that begins with '/'")
    return first, rest.lstrip(), None


def methods(given: str | Iterable[str] | None, problems: list[str]) -> frozenset[str] | None:
    """The methods in upper case, HEAD beside GET; None for every method."""
    if given is None:
        return None
    listed = [given] if isinstance(given, str) else list(given)
    if not listed:
        problems.append("methods is empty: name some, or leave it out for every method")
    wrong = [one for one in listed if not isinstance(one, str) or not _METHOD.fullmatch(one)]
    problems += [f"{one!r} is no HTTP method; write for example 'POST'" for one in wrong]
    named = {one.upper() for one in listed if one not in wrong}
    return frozenset(named | ({"HEAD"} if "GET" in named else set()))


def choice(name: str, value: Any, choices: Sequence[str], problems: list[str]) -> None:
    """`value` has to be one of `choices`."""
    if value not in choices:
        problems.append(f"{name}={value!r}: choose one of {', '.join(choices)}{suggestion(str(value), choices)}")


def references(payload: Any, body: str, problems: list[str]) -> tuple[Reference, ...]:
    """The field references that `payload` lists, where `body` says what of the body may be looked at."""
    if isinstance(payload, str) or not isinstance(payload, Sequence) or not payload:
        problems.append(f"payload={payload!r}: list field references such as 'body.amount', or give a callable")
        return ()
    found: dict[str, Reference] = {}
    for text in payload:
        reference = _reference("payload", text, problems)
        if reference is None:
            continue
        other = found.setdefault(reference.name, reference)
        if other is not reference:
            problems.append(
                f"payload: {other.text!r} and {text!r} both land under {reference.name!r}; write 'another_name={text}'"
            )
        if reference.source in ("body", "form") and body in ("none", "metadata"):
            problems.append(f"payload: {text!r} needs the body, and body={body!r}")
    return tuple(found.values())


def sampling(key: Any, problems: list[str]) -> SampleKey | Reference | None:
    """`sample_key`: a callable, or a field reference."""
    if isinstance(key, str):
        return _reference("sample_key", key, problems)
    if key is None or (callable(key) and not inspect.iscoroutinefunction(key)):
        return cast("SampleKey | None", key)
    problems.append(f"sample_key={key!r}: give a plain function, or a field reference such as 'user.id'")
    return None


def narrowing(name: str, fields: Any, payload: Any, problems: list[str]) -> tuple[Path, ...]:
    """`include` or `exclude`: dotted fields of a namespaced payload."""
    if isinstance(fields, str) or not isinstance(fields, Sequence):
        problems.append(f"{name}={fields!r}: list dotted fields such as 'body.amount'")
        return ()
    if fields and payload is not None:
        problems.append(f"{name} narrows a namespaced payload, and payload={payload!r} is given")
    paths = [tuple(str(field).split(".")) for field in fields]
    for field, path in zip(fields, paths, strict=True):
        if path[0] not in _NARROWABLE or not all(path):
            near = suggestion(path[0], _NARROWABLE)
            problems.append(f"{name}: {field!r} does not begin with one of {', '.join(_NARROWABLE)}{near}")
    return tuple(paths)


def _reference(where: str, text: Any, problems: list[str]) -> Reference | None:
    try:
        return parse_reference(text)
    except ValueError as error:
        problems.append(f"{where}: {error}")
        return None
