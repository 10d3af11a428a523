"""YAML with nothing that surprises: JSON's types only, no duplicate keys, no aliases, and lines for everything."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"


class Fault(Exception):
    """Text that can't be read at all; `line` from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        self.message = message
        self.line = line
        super().__init__(message)


class _Loader(yaml.SafeLoader):
    """The scalars of YAML 1.2: `NO` is a text, `010` is ten, a date is a text as in JSON."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way of configuration

    depth = 0

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.starts: list[int] = []
        """Where each document begins, at its `---` if it has one: characters from the beginning."""

    def compose_document(self) -> yaml.Node | None:
        self.starts.append(self.peek_event().start_mark.index)  # type: ignore[no-untyped-call]
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            fault = f"the alias *{event.anchor} is not possible here; write the value again"
            raise Fault(fault, _line(event.start_mark))
        if self.depth > MAX_DEPTH:
            fault = f"nested deeper than {MAX_DEPTH}; write fewer levels"
            raise Fault(fault, _line(event.start_mark))
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.ScalarNode) and any("\ud800" <= character <= "\udfff" for character in node.value):
            fault = f"{node.value!r} holds half a character (a lone surrogate); write the whole one"
            raise Fault(fault, line_of(node))
        return node


_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile(r"[-+]?[0-9]{1,400}"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    list("-+0123456789."),
)


class _FullMatch:
    """A resolver's pattern that has to match the whole scalar."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.match = pattern.fullmatch


_Loader.yaml_implicit_resolvers = {
    first: [(tag, _FullMatch(pattern)) for tag, pattern in resolvers]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def compose(text: str) -> list[tuple[yaml.Node, str]]:
    """The documents of `text`: each as a node with positions, and its own part of the text. Raises `Fault`."""
    try:
        loader = _Loader(text)
        nodes = []
        while loader.check_node():
            nodes.append(loader.get_node())
        edges = [*loader.starts, len(text)]
        edges[0] = 0  # what stands above the first document belongs to it
        parts = [text[start:end] for start, end in itertools.pairwise(edges)]
        return [(node, part) for node, part in zip(nodes, parts, strict=True) if node and not _is_empty(node)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "not YAML"
        raise Fault(f"not valid YAML ({problem}); correct the indentation or quote the text", _line(mark)) from None
    except yaml.YAMLError as error:
        raise Fault(f"not valid YAML ({error}); save the file as plain UTF-8 text") from None


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


def _line(mark: Any) -> int:
    return 1 if mark is None else int(mark.line) + 1


def line_of(node: yaml.Node) -> int:
    """The line `node` begins in, from 1."""
    return _line(node.start_mark)


def value_of(node: yaml.Node, faults: list[Fault]) -> Any:
    """`node` as JSON-like data. What is wrong is appended to `faults`."""
    if isinstance(node, yaml.SequenceNode):
        return [value_of(item, faults) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {key: value_of(item, faults) for key, (_, item) in entries_of(node, faults).items()}
    return _scalar(node, faults)


def entries_of(node: yaml.MappingNode, faults: list[Fault]) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """The keys of `node` with their key and value nodes; duplicates and keys that aren't text are faults."""
    entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key_node, value_node in node.value:
        line = line_of(key_node)
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != f"{_TAG}str":
            faults.append(Fault("a key must be text; quote it", line))
        elif key_node.value in entries:
            first = line_of(entries[key_node.value][0])
            faults.append(Fault(f"the key {key_node.value!r} stands twice (first in line {first}); keep one", line))
        else:
            entries[key_node.value] = key_node, value_node
    return entries


def _scalar(node: yaml.Node, faults: list[Fault]) -> Any:
    text = str(node.value)
    try:
        if node.tag == f"{_TAG}str":
            return text
        if node.tag == f"{_TAG}null":
            return None
        if node.tag == f"{_TAG}bool":
            return text.lower() == "true"
        if node.tag == f"{_TAG}int":
            return int(text)
        if node.tag == f"{_TAG}float":
            return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    except ValueError:
        faults.append(Fault(f"{text!r} is not a value of its tag; drop the tag", line_of(node)))
        return None
    faults.append(Fault(f"the tag {node.tag!r} is not possible here; write plain values", line_of(node)))
    return None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A hint after an unknown `word`: the closest of `choices`, or all of them."""
    known = list(choices)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
