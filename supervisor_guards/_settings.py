"""How one setting is written down: its default, its environment variable, its unit, and how text becomes it.

Nothing here knows what the settings are for; `_config` declares them with `setting(...)`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")


class _UnsetStr(str):
    __slots__ = ()


class _UnsetFloat(float):
    __slots__ = ()


def unset(default: T) -> T:
    """A default that equals `default` but can be told from the same value given by a caller.

    The published signatures show real defaults (`default_on_review="block"`), while a keyword must beat the
    environment only when somebody wrote it.
    """
    kinds: dict[type, Callable[[Any], Any]] = {str: _UnsetStr, float: _UnsetFloat}
    return cast(T, kinds[type(default)](default))


def given(value: object) -> bool:
    """Whether a caller set `value`: None and the `unset` defaults are not settings."""
    return value is not None and not isinstance(value, (_UnsetStr, _UnsetFloat))


def setting(default: Any, env: str | None, doc: str, *, unit: str = "", kind: str = "text", shown: bool = True) -> Any:
    """A dataclass field that is a setting.

    `env` is the environment variable without `SUPERVISOR_`, `kind` one of text, integer, number, flag, list. One
    that may hold a secret isn't `shown` in the settings' `repr`.
    """
    metadata = {"env": f"SUPERVISOR_{env}" if env else None, "doc": doc, "unit": unit, "kind": kind}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, repr=shown, metadata=metadata)


_FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def _flag(text: str) -> bool:
    return _FLAGS[text.lower()]


def _items(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "text": (str, "text"),
    "integer": (int, "a whole number"),
    "number": (float, "a number"),
    "flag": (_flag, "1 or 0"),
    "list": (_items, "a comma-separated list"),
}


def parse(text: str, kind: str, name: str) -> tuple[Any, str | None]:
    """Text from the environment as `kind`: the value, and a problem that names the variable, or None."""
    parser, wanted = _PARSERS[kind]
    try:
        return parser(text.strip()), None
    except (ValueError, KeyError):
        return None, f"{name}={text!r} is not {wanted}"


def from_environment(
    fields: Iterable[dataclasses.Field[Any]], environ: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The settings found in `environ`, by field name, and what is wrong with them. Empty text is not set."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in fields:
        name = field.metadata.get("env")
        text = environ.get(name, "") if name else ""
        if name and text.strip():
            value, problem = parse(text, field.metadata["kind"], name)
            if problem:
                problems.append(problem)
            else:
                values[field.name] = value
    return values, problems


def suggestion(name: str, choices: Iterable[str]) -> str:
    """`; did you mean 'x'?` where one of `choices` is close, else nothing."""
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
