"""Small pieces of syntax tree: to recognise, and to build."""

from __future__ import annotations

import ast

from supervisor_guards.policy.syntax import Refused


def root(node: ast.expr) -> str | None:
    """The name a path starts from."""
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        else:
            return None
    return node.id


def is_number(node: ast.expr) -> bool:
    """Whether `node` is a number written in the policy."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def count(node: ast.Call, function: str, least: int, most: int) -> None:
    """Refuse a call with fewer than `least` or more than `most` arguments."""
    if not least <= len(node.args) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise Refused(node, f"{function} takes {wanted} arguments; {len(node.args)} are given")


def name(identifier: str) -> ast.Name:
    """A read of `identifier`."""
    return ast.Name(identifier, ast.Load())


def call(function: ast.expr, *arguments: ast.expr) -> ast.Call:
    """A call of `function`."""
    return ast.Call(function, list(arguments), [])


def readable(node: ast.expr) -> ast.expr:
    """`node`, checked for a marker when it runs."""
    return node if isinstance(node, ast.Constant) else call(name("_readable"), node)
