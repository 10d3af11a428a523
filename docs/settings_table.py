"""The settings table of configuration.md, made from `GuardConfig`: `python docs/settings_table.py` rewrites it."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from supervisor_guards import GuardConfig, configure

PAGE = Path(__file__).parent / "configuration.md"
BEGIN = "<!-- settings: begin -->"
END = "<!-- settings: end -->"
HEAD = ("field", "type", "unit", "default", "keyword", "environment variable", "Django/Flask key", "what it does")


def table() -> str:
    """The table, in Markdown: one row for each field of `GuardConfig` that is a setting."""
    keywords = inspect.signature(configure).parameters
    rows = [_row(field, field.name in keywords) for field in dataclasses.fields(GuardConfig) if "doc" in field.metadata]
    return "\n".join(_line(cells) for cells in (HEAD, ("---",) * len(HEAD), *rows))


def page(text: str) -> str:
    """`text` with the current table between its markers. Raises `ValueError` where a marker is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} needs the lines {BEGIN} and {END}, in this order")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


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
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
