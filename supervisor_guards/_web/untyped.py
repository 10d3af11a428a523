"""Rules that send text where a policy compares with a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from supervisor_guards._web.rules import RouteRule

if TYPE_CHECKING:
    from supervisor_guards.policy.engine import PolicySet

_TEXT_SOURCES = frozenset({"query", "form", "header"})


def untyped_comparisons(rules: Iterable[RouteRule], policies: PolicySet) -> list[str]:
    """One warning for each policy rule that compares with a number what a route rule sends as text.

    Form, query and header values are text, and so are path parameters whose template names no converter. Such a
    comparison fails each time, which denies. What a callable payload makes isn't known.
    """
    # Imported on use: whoever only serves requests needs no policy compiler.
    from supervisor_guards.policy.engine import rules_reading

    warnings = []
    for rule in rules:
        texts = dict(_texts(rule))

        def is_text(path: str, texts: dict[str, str] = texts) -> bool:
            return _source(path, texts) is not None

        for reading in rules_reading(policies, is_text, numbers=True):
            if rule.action in reading.policy.actions:
                advice = ", ".join(sorted({_source(path, texts) or "" for path in reading.fields}))
                warnings.append(f"{reading}, which rule {rule.route!r} sends as text: write {advice}")
    return warnings


def _texts(rule: RouteRule) -> Iterator[tuple[str, str]]:
    """The payload's fields that are text, and what to write instead."""
    if rule.payload_call is not None:
        return
    if rule.references is None:
        for source in ("query", "path"):
            yield f"payload.{source}.", f"'{source}.<name>:number' in payload=[...]"
        return
    for one in rule.references:
        text = one.source in _TEXT_SOURCES or (one.source == "path" and not _converted(rule.template, one.path[0]))
        if text and one.kind is None:
            yield f"payload.{one.name}", repr(f"{one.text}:number")


def _source(path: str, texts: dict[str, str]) -> str | None:
    if path in texts:
        return texts[path]
    return next((advice for prefix, advice in texts.items() if prefix.endswith(".") and path.startswith(prefix)), None)


def _converted(template: str | None, name: str) -> bool:
    """Whether `template` converts the parameter: `{id:int}` as Starlette writes it, `<int:id>` as others do."""
    if template is None:
        return True  # known by name alone: its template isn't at hand
    spelt = re.escape(name)
    return re.search(rf"\{{{spelt}:(int|float)\}}|<(int|float)(\([^)]*\))?:{spelt}>", template) is not None
