"""The patterns of `matches`: compiled when the policy is loaded, with bounds of their own."""

from __future__ import annotations

import ast
import math
import re
from typing import Any

import regex

from supervisor_guards.policy.syntax import Refused

MAX_PATTERN = 500
MAX_REPEATS = 10_000
"""The product of a pattern's counts, `{n}`: `regex` unrolls them when it compiles."""


def compile_pattern(node: ast.AST, pattern: str) -> Any:
    """The compiled `pattern` of the `matches` at `node`. Raises `Refused`."""
    if len(pattern) > MAX_PATTERN:
        raise Refused(node, f"a pattern has at most {MAX_PATTERN} characters; write two matches()")
    counts = [int(count) for count in re.findall(r"\d+", " ".join(re.findall(r"\{[\d,]*\}", pattern)))]
    if math.prod(count for count in counts if count) > MAX_REPEATS:
        raise Refused(node, f"the counts of a pattern multiply to at most {MAX_REPEATS}; write + or *")
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise Refused(node, f"the pattern {pattern!r} is not valid ({error}); correct it") from None
