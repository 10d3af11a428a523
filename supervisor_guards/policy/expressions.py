"""Conditions: a small, checked, total subset of Python expressions, compiled to one function.

The text is parsed, each node is checked and translated (`translate`), and the result is compiled with empty
builtins. What runs sees decoded JSON only, reads keys and never attributes, and can neither run nor allocate
unbounded: the limits are here, in `runtime` and in `patterns`.
"""

from __future__ import annotations

import ast
import os
import threading
import tokenize
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from supervisor_guards.policy.runtime import NAMESPACE
from supervisor_guards.policy.syntax import Refused, syntax_hint
from supervisor_guards.policy.translate import Translator
from supervisor_guards.policy.values import MarkerRead, RuleFailure, seal

__all__ = ["Condition", "ExpressionError", "Failure", "compile_condition", "compile_rules"]

_parsing = threading.Lock()
"""Of one thread at a time: Python 3.11 and 3.12 keep one depth for all (https://github.com/python/cpython/issues/106905),
and every Python the filters of warnings."""

MAX_CHARACTERS = 4_000
MAX_NODES = 400
MAX_DEPTH = 40


class ExpressionError(ValueError):
    """A condition that is refused: `message` says why and what to write instead.

    `line` and `column` count from 1 in the condition's own text.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        self.message = message
        self.line = line
        self.column = column
        super().__init__(f"line {line}, column {column}: {message}")


@dataclass(frozen=True)
class Failure:
    """A rule of one evaluation that could not answer. `cause` never holds a value of the payload."""

    rule: int
    cause: str
    marker: bool


Judge = Callable[[Any, Any, Any], "tuple[list[int], list[Failure]] | None"]
"""payload, context, request -> the indexes of the rules that hit, and the failures; None for neither."""


@dataclass(frozen=True, eq=False)
class Condition:
    """A checked condition.

    `fields` are the dotted paths it reads (`payload.customer.email`; a list's items have the list's path),
    `numeric_fields` those of them that it compares or computes with numbers.
    """

    source: str
    fields: frozenset[str]
    numeric_fields: frozenset[str]
    expression: ast.expr
    constants: Mapping[str, Any]
    metered: bool

    def __call__(self, payload: Any, context: Any = None, request: Any = None) -> bool:
        """Whether the condition holds for this data. Raises `RuleFailure` where it has no answer.

        Convenient and slow: it compiles anew. A policy compiles all its rules once, by `compile_rules`.
        """
        result = compile_rules([self])(seal(payload), seal(context or {}), seal(request or {}))
        if result is None:
            return False
        for failure in result[1]:
            raise MarkerRead(failure.cause) if failure.marker else RuleFailure(failure.cause)
        return True


def compile_condition(source: str) -> Condition:
    """The checked condition `source`. Raises `ExpressionError`, with the place and what to write instead."""
    text = source.strip()
    if not text:
        raise ExpressionError("the condition is empty; write `True` for a rule that always hits")
    if len(source) > MAX_CHARACTERS:
        raise ExpressionError(
            f"the condition has {len(source)} characters, of at most {MAX_CHARACTERS}; split the rule in two"
        )
    # Parentheses let a condition go over several lines, as in a YAML block.
    wrapped = "\n" in text
    with _parsing:
        tree = _parse(f"({text}\n)" if wrapped else text, text, wrapped)
    translator = Translator()
    try:
        _check_size(tree)
        expression = translator.expression(tree)
        _check_names(text, wrapped)
    except Refused as error:
        line, column = getattr(error.node, "lineno", 1), getattr(error.node, "col_offset", 0) + 1
        raise ExpressionError(str(error), line, column - (wrapped and line == 1)) from None
    return Condition(
        source=source,
        fields=frozenset(translator.fields),
        numeric_fields=frozenset(translator.numeric_fields),
        expression=expression,
        constants=translator.constants,
        metered=translator.metered,
    )


def compile_rules(conditions: Sequence[Condition], name: str = "policy") -> Judge:
    """One function that runs all `conditions`, each guarded by itself.

    Its arguments must be sealed (`values.seal`), or be known to hold no marker.
    """
    with _parsing:
        return _compiled(conditions, name)


def _compiled(conditions: Sequence[Condition], name: str) -> Judge:
    namespace = dict(NAMESPACE, _failure=_failure)
    body = ast.parse("_hits = []; _failures = []").body
    if any(condition.metered for condition in conditions):
        body += ast.parse("_meter = _Meter()").body
    for index, condition in enumerate(conditions):
        namespace.update(condition.constants)
        body.append(_guarded(index, condition.expression))
    body += ast.parse("if _hits or _failures:\n    return _hits, _failures").body
    function = ast.parse("def judge(payload, context, request): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = body
    module = ast.fix_missing_locations(ast.Module([function], []))
    place = f"<policy {name!a}>"  # a name may hold what no file name does
    exec(compile(module, place, "exec"), namespace)  # noqa: S102 - the tree holds checked nodes only
    return namespace["judge"]  # type: ignore[no-any-return]


def _guarded(index: int, expression: ast.expr) -> ast.stmt:
    template = (
        f"try:\n    if None:\n        _hits.append({index})\n"
        f"except _Exception as _error:\n    _failures.append(_failure({index}, _error))"
    )
    guarded = ast.parse(template).body[0]
    assert isinstance(guarded, ast.Try)
    branch = guarded.body[0]
    assert isinstance(branch, ast.If)
    branch.test = expression
    return guarded


def _failure(rule: int, error: Exception) -> Failure:
    if isinstance(error, RuleFailure):
        return Failure(rule, str(error), isinstance(error, MarkerRead))
    if isinstance(error, KeyError):
        # The key stands in the policy, except where a rule looks up `table[payload.key]`.
        return Failure(rule, "a field is missing", False)
    # Python's own texts quote the operands.
    return Failure(rule, f"the condition does not fit the data ({type(error).__name__})", False)


def _parse(text: str, source: str, wrapped: bool) -> ast.expr:
    try:
        with warnings.catch_warnings():
            # '\d' in a pattern means what it says; Python's advice to write r'\d' has no reader here.
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        # Python gives no offset for a text that ends too early.
        line, column = error.lineno or 1, error.offset or len(text) + 1
        column -= wrapped and line == 1
        raise ExpressionError(syntax_hint(source, error.msg), line, max(column, 1)) from None
    except (ValueError, MemoryError, RecursionError) as error:
        reason = "is nested too deeply" if not isinstance(error, ValueError) else f"is not text ({error})"
        raise ExpressionError(f"the condition {reason}; split the rule in two") from None


def _check_size(tree: ast.expr) -> None:
    """Bound the tree before anything recurses into it."""
    level: list[ast.AST] = [tree]
    nodes = depth = 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > MAX_DEPTH:
            raise Refused(level[0], f"the condition is nested deeper than {MAX_DEPTH}; split the rule in two")
        if nodes > MAX_NODES:
            raise Refused(tree, f"the condition has more than {MAX_NODES} parts; split the rule in two")
        level = [
            child
            for node in level
            for child in ast.iter_child_nodes(node)
            if isinstance(child, (ast.expr, ast.comprehension))
        ]


def _check_names(text: str, wrapped: bool) -> None:
    """Refuse names that Python would normalise to other, ASCII names (full-width `payload`)."""
    if text.isascii():
        return
    for token in tokenize.generate_tokens(StringIO(f"({text}\n)" if wrapped else text).readline):
        if token.type == tokenize.NAME and not token.string.isascii():
            line, column = token.start
            message = f"the name {token.string!r} is not ASCII; write ['{token.string}'] if it is a key"
            raise ExpressionError(message, line, column + 1 - (wrapped and line == 1))


def _after_fork() -> None:
    global _parsing
    _parsing = threading.Lock()  # the parent's may be held by a thread that the child doesn't have


os.register_at_fork(after_in_child=_after_fork)
