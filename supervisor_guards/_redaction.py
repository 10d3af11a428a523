"""What may leave the process: secrets are taken out before a payload reaches a log, a store or a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from supervisor_guards import _secrets
from supervisor_guards._secrets import REDACTED

_MAX_NAMES = 4_096
_MAX_NAME = 64
_MAX_DEPTH = 128
_SHORT = 12
"""Characters below which a text can't hold a secret that has neither a name (`=`, `:`) nor is JSON."""
_JSON_STARTS = ("{", "[", '"')
_JSON_START = re.compile(r"[{\[\"]")
_MAX_FAILED = 16
"""Starts of JSON in a text that are none: each may be read to the end of the text."""
_raw_decode = json.JSONDecoder().raw_decode
_WHOLE_LINE = ("authorization", "cookie")
_PAIR_NAMES = ("name", "Name", "key", "Key", "field", "header", "k")
_PAIR_VALUES = frozenset({"value", "Value", "val", "v"})


class Redactor:
    """Takes secrets out of decoded JSON.

    `extra_names` are further secret field names: a field is secret where its name contains one of them.
    `extra_patterns` are further regular expressions for secret values. With `allow`, only those dotted fields
    are kept (lists are passed through), and of them what isn't secret.

    A secret field's value becomes `{"__redacted__": true}`; a secret inside a text becomes `[redacted]`.
    """

    def __init__(
        self,
        extra_names: Iterable[str] = (),
        extra_patterns: Iterable[str] = (),
        allow: Iterable[str] | None = None,
    ) -> None:
        self._extra = frozenset(_secrets.normalised(name) for name in extra_names)
        self._patterns = tuple(re.compile(source) for source in extra_patterns)
        self._shortest = 0 if self._patterns else _SHORT
        self._allow = None if allow is None else frozenset(allow)
        self._names: dict[str, tuple[bool, str]] = {}

    def redacts(self, name: str) -> bool:
        """Whether values under the field `name` are secret."""
        return (self._names.get(name) or self._learn(name))[0]

    def redact(self, value: dict[str, Any]) -> dict[str, Any]:
        """A copy of `value` without secrets. Where that fails, nothing of it is kept. Raises no `Exception`."""
        try:
            kept = value if self._allow is None else self._kept(value, "", self._allow)
            result: dict[str, Any] = self._mapping(kept, 0)
            return result
        except Exception:
            return {"__error__": "redaction-failed"}

    def redact_text(self, text: str) -> str:
        """`text` without secrets: for log lines and messages. Raises no `Exception`."""
        try:
            return self._text(text, 0)
        except Exception:
            return REDACTED

    def _learn(self, name: str) -> tuple[bool, str]:
        known = (_secrets.is_secret_name(name, self._extra), self._text(name, 0))
        if len(self._names) < _MAX_NAMES and len(name) <= _MAX_NAME:
            self._names[name] = known
        return known

    def _kept(self, value: Any, path: str, allowed: frozenset[str]) -> Any:
        if type(value) is list:
            return [self._kept(item, path, allowed) for item in value]
        if type(value) is not dict:
            return {"__redacted__": True}
        result: dict[str, Any] = {}
        for name, item in value.items():
            own = f"{path}{name}"
            if own in allowed:
                result[name] = item
            elif any(field.startswith(f"{own}.") for field in allowed):
                result[name] = self._kept(item, f"{own}.", allowed)
            else:
                result[name] = {"__redacted__": True}
        return result

    def _any(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value, depth)
        if kind is dict:
            return self._mapping(value, depth)
        if kind is list:
            return self._list(value, depth)
        if (
            (kind is int or kind is float)
            and 1e12 <= abs(value) < 1e19
            and _secrets.is_card_number(str(abs(int(value))))
        ):
            return {"__redacted__": True}
        return value

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        if depth > _MAX_DEPTH:
            raise RecursionError("the value is nested too deep")
        if len(value) == 2 and type(value[0]) is str and self.redacts(value[0]):  # a name and its value
            return [self._text(value[0], depth + 1), value[1] if value[1] is None else {"__redacted__": True}]
        kept = [self._any(item, depth + 1) for item in value]
        for place, item in enumerate(value[:-1], 1):
            if type(item) is str and item[:1] == "-" and self.redacts(item):  # an option and its value
                kept[place] = {"__redacted__": True}
        return kept

    def _mapping(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        if depth > _MAX_DEPTH:
            raise RecursionError("the value is nested too deep")
        result: dict[str, Any] = {}
        names, shortest = self._names, self._shortest
        for name, item in value.items():
            secret, shown = names.get(name) or self._learn(name)
            if secret and item is not None and type(item) is not bool:
                item = {"__redacted__": True}
            elif type(item) is not str:
                item = self._any(item, depth + 1)
            elif len(item) >= shortest or "=" in item or ":" in item or item.startswith(_JSON_STARTS):
                item = self._text(item, depth + 1)
            result[shown] = item
        if not _PAIR_VALUES.isdisjoint(value) and any(
            type(value.get(title)) is str and self.redacts(value[title]) for title in _PAIR_NAMES
        ):
            result.update((name, {"__redacted__": True}) for name in _PAIR_VALUES if name in value)
        return result

    def _text(self, text: str, depth: int) -> str:
        stripped = text.lstrip()
        if stripped.startswith(_JSON_STARTS):
            inner = self._json(stripped, depth)
            if inner is not None:
                return inner
        return self._plain_text(self._embedded(text, depth) if '"' in text else text)

    def _embedded(self, text: str, depth: int) -> str:
        """`text` with the JSON that stands somewhere in it redacted as such: escapes hide names from expressions."""
        parts: list[str] = []
        done = at = failed = 0
        while failed < _MAX_FAILED and (start := _JSON_START.search(text, at)):
            at = start.end()
            try:
                inner, end = _raw_decode(text, start.start())
            except (ValueError, RecursionError):
                failed += 1
                continue
            at = end
            kept = self._any(inner, depth + 1)
            if kept != inner:
                parts += (text[done : start.start()], _encoded(kept))
                done = end
        return "".join((*parts, text[done:])) if parts else text

    def _json(self, text: str, depth: int) -> str | None:
        """A text that is JSON itself, without secrets; None where it isn't JSON."""
        try:
            inner = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return None
        kept = self._any(inner, depth + 1)
        if kept == inner and _names_once(text):
            return text
        return msgspec.json.encode(kept).decode()

    def _plain_text(self, text: str) -> str:
        text = _secrets.without_shapes(text)
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        if "<" in text:
            text = self._elements(text)
        if "-" in text:
            text = self._options(text)
        if "=" in text or ":" in text or "'," in text or '",' in text:
            text = self._assigned(text)
        return text

    def _elements(self, text: str) -> str:
        """XML without what stands in elements with secret names; all that follows where the end tag is missing."""
        parts: list[str] = []
        done = 0
        while found := _secrets.ELEMENT.search(text, done):
            parts.append(text[done : found.end()])
            done = found.end()
            if self.redacts(found[1]):
                end = text.find(f"</{found[1]}", done)
                done = len(text) if end < 0 else end
                parts.append(REDACTED)
        return "".join((*parts, text[done:]))

    def _options(self, text: str) -> str:
        """`--name value` without the values of secret names."""

        def kept(found: re.Match[str]) -> str:
            return f"{found[1]}{found[2]}{REDACTED}" if self.redacts(found[1]) else found.group()

        return _secrets.OPTION.sub(kept, text)

    def _assigned(self, text: str) -> str:
        """`name=value` and `name: value` without the values of secret names."""
        parts: list[str] = []
        done = at = 0
        titled = False
        while found := _secrets.ASSIGNED.search(text, at):
            at = found.end()
            name = found[1]
            if "%" in name or "+" in name:
                name = unquote_plus(name)
            if name in _PAIR_NAMES:
                title = _secrets.TITLE.match(text, at)
                titled = title is not None and self.redacts(title[1])
            if not self.redacts(name) and not (titled and name in _PAIR_VALUES):
                before = _secrets.WORD_BEFORE.search(text, max(0, found.start() - 25), found.start())
                if before is None or not self.redacts(f"{before.group()}{name}"):
                    continue
            start, end = self._value(text, at, name, found[2] or found[3] or ",")
            if end > start:
                parts += (text[done:start], REDACTED)
                done = at = end
        return "".join((*parts, text[done:])) if parts else text

    def _value(self, text: str, at: int, name: str, sign: str) -> tuple[int, int]:
        """Where the value that starts at `at` begins and ends. Too much is better than too little."""
        at = _secrets.SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing too
        quote = _secrets.QUOTE.match(text, at)
        if quote is not None:
            closing = quote[1]
            end = text.find(closing, quote.end())
            while end > 0 and len(closing) == 1 and _escaped(text, end):
                end = text.find(closing, end + 1)
            return quote.end(), end if end >= 0 else len(text)
        if text[at : at + 1] in _secrets.BRACKETS:
            end = _closed(text, at)
            rest = _secrets.BARE.match(text, end)
            return at, rest.end() if rest else end
        plain = name.lower()
        whole = sign == ":" and any(word in plain for word in _WHOLE_LINE)
        value = _secrets.BLOCK.match(text, at) or (_secrets.REST_OF_LINE if whole else _secrets.BARE).match(text, at)
        return at, at if value is None else value.end()


def _encoded(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except ValueError:  # a lone surrogate, which JSON can spell and UTF-8 can't
        return REDACTED


def _closed(text: str, at: int) -> int:
    """Where the list or mapping that opens at `at` ends: its own bracket, or the end of the text."""
    depth = 0
    for found in _secrets.BRACKETS[text[at]].finditer(text, at):
        depth += 1 if found["open"] else -1 if found["close"] else 0
        if depth == 0:
            return found.end()
    return len(text)


def _names_once(text: str) -> bool:
    """Whether no name stands twice in a JSON object: of two, the decoder has shown the last alone."""

    def unique(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name stands twice")

    try:
        json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        return False
    return True


def _escaped(text: str, at: int) -> bool:
    slashes = 0
    while text[at - 1 - slashes] == "\\":
        slashes += 1
    return slashes % 2 == 1
