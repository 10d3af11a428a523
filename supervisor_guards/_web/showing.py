"""Texts of the record fit for a page that people decide by: nothing hidden, nothing that turns the line around."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable

import msgspec

LIMIT = 100_000
"""Characters of one payload or context; a page that doesn't open helps nobody."""
TEXT_LIMIT = 2_000
"""Characters of one text in it, so that a long one pushes nothing else off the page."""

# Controls, and characters that are drawn as nothing or reorder what is drawn. The two joiners stay: scripts need them.
_HIDDEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f"
    "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ud800-\\udfff\\ufeff\\uffa0\\ufff9-\\ufffb\\U000e0000-\\U000e0fff]"
)
_UNIT = r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\.)'
# The rest in runs: a character at a time takes half a second where somebody sends megabytes.
_TEXT = re.compile(rf'"({_UNIT}{{0,{TEXT_LIMIT}}})((?:[^"\\]+|\\.)*)"')


def legible(text: str, limit: int = 1_000) -> str:
    """`text` with what can't be seen written out (`\\u202e`), cut after `limit` characters."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return _HIDDEN.sub(_written, cut)


def more_characters(count: int) -> str:
    """How much of a text isn't shown, in English."""
    return f"{count:,} more character{'' if count == 1 else 's'}"


def laid_out(text: str, limit: int = LIMIT, more: Callable[[int], str] = more_characters) -> tuple[str, int]:
    """JSON text over several lines, as `legible`, and how many characters at its end were left out.

    Numbers stay as they were written; a long text in it is cut, and `more` says by how much. What is no JSON is shown
    as it is.
    """

    def cut(found: re.Match[str]) -> str:
        kept, rest = found.groups()
        return f'"{kept}…" ({more(_length(rest))})' if rest else found[0]

    with contextlib.suppress(msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        text = _TEXT.sub(cut, msgspec.json.format(text, indent=2))
    return _HIDDEN.sub(_written, text[:limit]), max(0, len(text) - limit)


def _length(rest: str) -> int:
    """How many characters a part of a JSON text stands for."""
    return len(json.loads(f'"{rest}"', strict=False))


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
