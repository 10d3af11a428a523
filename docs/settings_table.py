"""The settings tables, made from `GuardConfig` and `ServiceConfig`: `python docs/settings_table.py` rewrites them.

The one of configuration.md has every way to set something; the one of django.md has the keys of `SUPERVISOR_GUARDS`;
the one of service-settings.md is what a process of the service reads.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervisor_guards import GuardConfig, configure
from supervisor_guards.service.config import ServiceConfig

PAGE = Path(__file__).parent / "configuration.md"
DJANGO_PAGE = Path(__file__).parent / "django.md"
SERVICE_PAGE = Path(__file__).parent / "service-settings.md"
BEGIN = "<!-- settings: begin -->"
END = "<!-- settings: end -->"
HEAD = ("field", "type", "unit", "default", "keyword", "environment variable", "Django/Flask key", "what it does")


SHORT = {
    "enforcement_mode": "MODE",
    "default_on_review": "ON_REVIEW",
    "shared_secret": "SECRET",
    "database_url": "DATABASE",
}
"""Fields whose usual key isn't their own name; that one is accepted, too."""
SERVICE_HEAD = ("environment variable", "field", "type", "unit", "default", "what it does")
DJANGO_HEAD = ("key", "type", "unit", "default", "what it does")
DJANGO_KEYS = {
    "RULES": ("list of rules", "-", "[]", "Which routes are guarded, by which action; see [rules](#rules)."),
    "USER_RESOLVER": (
        "callable or dotted path", "-", "None",
        "`(request) -> User or None`: who sends; plain or async. Unset: Django's authentication.",
    ),
    "UNRESOLVED": (
        "Literal['deny', 'warn']", "-", "'deny'",
        "What happens to requests that may change something while `RULES` can't be read and anything is enforced.",
    ),
    "MAX_BODY_BYTES": (
        "int", "bytes", "262144", "How much of a body a rule looks at, where the rule doesn't say."
    ),
    "REVIEW_URL": ("str", "-", "None", "Where the client may ask for a review; see [review](#review)."),
}  # fmt: skip
"""The adapter's own keys: type, unit, default, what they do."""


def table() -> str:
    """The table, in Markdown: one row for each field of `GuardConfig` that is a setting."""
    keywords = inspect.signature(configure).parameters
    rows = [_row(field, field.name in keywords) for field in dataclasses.fields(GuardConfig) if "doc" in field.metadata]
    return _table(HEAD, rows)


def service_table() -> str:
    """What a process of the service reads: one row for each field of `ServiceConfig` that is a setting."""
    fields = [field for field in dataclasses.fields(ServiceConfig) if "doc" in field.metadata]
    return _table(
        SERVICE_HEAD,
        [(_code(field.metadata["env"]), *_row(field, False)[:4], field.metadata["doc"]) for field in fields],
    )


def django_table() -> str:
    """The keys of `SUPERVISOR_GUARDS`: the adapter's own, then one for each field."""
    own = [
        (_code(key), _code(kind), unit, _code(default), doc) for key, (kind, unit, default, doc) in DJANGO_KEYS.items()
    ]
    fields = [field for field in dataclasses.fields(GuardConfig) if "doc" in field.metadata]
    rows = [(_code(django_key(field)), *_row(field, False)[1:4], field.metadata["doc"]) for field in fields]
    return _table(DJANGO_HEAD, [*own, *rows])


def django_key(field: dataclasses.Field[Any]) -> str:
    """How the field is usually written in `SUPERVISOR_GUARDS`."""
    return SHORT.get(field.name, field.name.upper())


def page(text: str, made: str | None = None) -> str:
    """`text` with a current table between its markers. Raises `ValueError` where a marker is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} needs the lines {BEGIN} and {END}, in this order")
    return f"{before}{BEGIN}\n{table() if made is None else made}\n{END}{after}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(_line(cells) for cells in (head, ("---",) * len(head), *rows))


def _row(field: dataclasses.Field[Any], is_keyword: bool) -> tuple[str, ...]:
    env = field.metadata["env"]
    return (
        _code(field.name),
        _code(str(field.type)),
        field.metadata["unit"] or "-",
        _code(_default(field)),
        _code(f"{field.name}=") if is_keyword else "-",
        _code(env) if env else "-",
        _code(field.name.upper()),
        field.metadata["doc"],
    )


def _default(field: dataclasses.Field[Any]) -> str:
    made = field.default_factory is not dataclasses.MISSING
    return repr(field.default_factory() if made else field.default)  # type: ignore[misc]


def _code(text: str) -> str:
    return f"`{text}`"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    for place, made in ((PAGE, table()), (DJANGO_PAGE, django_table()), (SERVICE_PAGE, service_table())):
        place.write_text(page(place.read_text(encoding="utf-8"), made), encoding="utf-8")
