"""From the checked subset of Python's syntax tree to the one that is compiled.

Only what has a method here passes. `payload.amount` becomes `payload['amount']`, so that no attribute is ever
read; arithmetic and functions become calls of the bounded ones in `runtime`; comparisons stay native.
"""

from __future__ import annotations

import ast
import hashlib
import math
from typing import Any

from supervisor_guards.policy import _tree as tree
from supervisor_guards.policy import syntax
from supervisor_guards.policy.patterns import compile_pattern
from supervisor_guards.policy.runtime import FUNCTIONS, LOOPS, MAX_BITS
from supervisor_guards.policy.syntax import Refused

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "_add",
    ast.Sub: "_subtract",
    ast.Mult: "_multiply",
    ast.Div: "_divide",
    ast.FloorDiv: "_floor_divide",
    ast.Mod: "_modulo",
}
_CONTAINERS = (ast.List, ast.Tuple, ast.Set, ast.Dict)
_LITERALS = (*_CONTAINERS, ast.Constant)
_CHAINED = (ast.Attribute, ast.Subscript, ast.Call)
_ALLOWED = (
    *_LITERALS,
    *_CHAINED,
    ast.Name,
    ast.BoolOp,
    ast.IfExp,
    ast.UnaryOp,
    ast.BinOp,
    ast.Compare,
)
"""Everything else is refused; each of these has its method, `_boolop` for BoolOp."""


class Translator:
    """Translates one condition, and notes what it reads."""

    def __init__(self) -> None:
        self.fields: set[str] = set()
        self.numeric_fields: set[str] = set()
        self.constants: dict[str, Any] = {}
        self.metered = False
        self._variable: str | None = None
        self._variable_path: str | None = None

    def expression(self, node: ast.expr) -> ast.expr:
        """The translation of `node`. Raises `Refused`."""
        path = self._path(node)
        if path is None:
            return self._operation(node)
        self.fields.add(path)
        return self._charged(node, self._operation(node, note=False))

    def _operation(self, node: ast.expr, note: bool = True) -> ast.expr:
        """The translation of `node` itself; with `note` false its receiver is a path already noted."""
        if not isinstance(node, _ALLOWED):
            raise Refused(node, syntax.refusal(node))
        translate = getattr(self, f"_{type(node).__name__.lower()}")
        return translate(node, note) if isinstance(node, _CHAINED) else translate(node)  # type: ignore[no-any-return]

    # Paths: chains of keys from payload, context, request or the variable of a loop.

    def _path(self, node: ast.expr) -> str | None:
        """The dotted path `node` reads, or None where it is something else. An index isn't part of it."""
        if isinstance(node, ast.Name):
            if node.id == self._variable:
                return self._variable_path
            return node.id if node.id in syntax.ROOTS else None
        if isinstance(node, ast.Attribute):
            return self._joined(node.value, node.attr)
        if isinstance(node, ast.Subscript):
            return self._joined(node.value, node.slice)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            return self._joined(node.func.value, node.args[0]) if node.func.attr == "get" else None
        return None

    def _joined(self, value: ast.expr, key: ast.expr | str) -> str | None:
        path = self._path(value)
        word = key.value if isinstance(key, ast.Constant) else key
        return f"{path}.{word}" if path is not None and isinstance(word, str) else path

    def _charged(self, node: ast.expr, translated: ast.expr) -> ast.expr:
        """In a loop, what is read again for every item is charged (`Meter.read`)."""
        if self._variable is None or tree.root(node) == self._variable:
            return translated
        self.metered = True
        return tree.call(ast.Attribute(tree.name("_meter"), "read", ast.Load()), translated)

    def _receiver(self, node: ast.expr, note: bool) -> ast.expr:
        return self.expression(node) if note else self._operation(node, note=False)

    # Values

    def _constant(self, node: ast.Constant) -> ast.expr:
        value = node.value
        if value is None or isinstance(value, (bool, str)):
            return ast.Constant(value)
        if isinstance(value, int) and value.bit_length() <= MAX_BITS:
            return ast.Constant(value)
        if isinstance(value, float) and math.isfinite(value):
            return ast.Constant(value)
        if isinstance(value, (int, float)):
            raise Refused(node, f"a number has at most {MAX_BITS} bits; write a smaller one")
        raise Refused(node, f"{type(value).__name__} is not possible here; write a number or a 'text'")

    def _name(self, node: ast.Name) -> ast.expr:
        if node.id == self._variable or node.id in syntax.ROOTS:
            return tree.name(node.id)
        known = (*syntax.ROOTS, self._variable) if self._variable else syntax.ROOTS
        raise Refused(node, syntax.unknown_name(node.id, known))

    def _list(self, node: ast.List) -> ast.expr:
        return ast.List([self.expression(item) for item in node.elts], ast.Load())

    def _tuple(self, node: ast.Tuple) -> ast.expr:
        return ast.Tuple([self.expression(item) for item in node.elts], ast.Load())

    def _set(self, node: ast.Set) -> ast.expr:
        return ast.Set([self.expression(item) for item in node.elts])

    def _dict(self, node: ast.Dict) -> ast.expr:
        keys: list[ast.expr | None] = []
        for key in node.keys:
            if key is None:
                raise Refused(node, "`**` is not possible here; write the keys one by one")
            keys.append(self.expression(key))
        return ast.Dict(keys, [self.expression(value) for value in node.values])

    def _attribute(self, node: ast.Attribute, note: bool) -> ast.expr:
        if node.attr.startswith("__"):
            raise Refused(node, f".{node.attr} is not possible here; write ['{node.attr}'] if it is a key")
        return ast.Subscript(self._receiver(node.value, note), ast.Constant(node.attr), ast.Load())

    def _subscript(self, node: ast.Subscript, note: bool) -> ast.expr:
        return ast.Subscript(self._receiver(node.value, note), self.expression(node.slice), ast.Load())

    # Operators

    def _boolop(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, [self.expression(value) for value in node.values])

    def _ifexp(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.expression(node.test), self.expression(node.body), self.expression(node.orelse))

    def _unaryop(self, node: ast.UnaryOp) -> ast.expr:
        operand = node.operand
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(ast.Not(), self.expression(operand))
        if isinstance(node.op, ast.Invert):
            raise Refused(node, syntax.refusal(node.op))
        if isinstance(operand, ast.Constant) and type(operand.value) in (int, float):
            return ast.UnaryOp(node.op, self.expression(operand))
        self._note_numbers(operand)
        function = "_negative" if isinstance(node.op, ast.USub) else "_positive"
        return tree.call(tree.name(function), self.expression(operand))

    def _binop(self, node: ast.BinOp) -> ast.expr:
        function = _OPERATORS.get(type(node.op))
        if function is None:
            raise Refused(node, syntax.refusal(node.op))
        for side in (node.left, node.right):
            if isinstance(side, _LITERALS) and not (
                isinstance(side, ast.Constant) and isinstance(side.value, (int, float))
            ):
                raise Refused(side, "arithmetic is for numbers only; compare texts and lists as they are")
        self._note_numbers(node.left, node.right)
        return tree.call(tree.name(function), self.expression(node.left), self.expression(node.right))

    def _compare(self, node: ast.Compare) -> ast.expr:
        operators: list[ast.cmpop] = []
        translated = [self.expression(node.left)]
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, (ast.Is, ast.IsNot)):
                if not (isinstance(right, ast.Constant) and right.value is None):
                    raise Refused(right, "`is` is for None only; write == or !=")
                # For plain data `is None` and `== None` are one, and a marker refuses only the latter.
                operators.append(ast.Eq() if isinstance(operator, ast.Is) else ast.NotEq())
            elif isinstance(operator, (ast.In, ast.NotIn)):
                if not isinstance(right, _CONTAINERS):
                    # `marker in 'text'` would be Python's TypeError, not a marker that was read.
                    translated[-1] = tree.readable(translated[-1])
                operators.append(operator)
            else:
                if tree.is_number(left) or tree.is_number(right):
                    self._note_numbers(left, right)
                operators.append(operator)
            translated.append(self.expression(right))
            left = right
        return ast.Compare(translated[0], operators, translated[1:])

    def _note_numbers(self, *operands: ast.expr) -> None:
        self.numeric_fields.update(path for path in map(self._path, operands) if path is not None)

    # Calls

    def _call(self, node: ast.Call, note: bool) -> ast.expr:
        if node.keywords:
            raise Refused(node, "named arguments are not possible here; write the values in order")
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func, note)
        if not isinstance(node.func, ast.Name):
            raise Refused(node, "only functions and methods of the policy language can be called")
        name = node.func.id
        if name in LOOPS:
            return self._loop(node, name)
        if name == "matches":
            return self._matches(node)
        if name not in FUNCTIONS:
            raise Refused(node, syntax.unknown_function(name))
        function, least, most = FUNCTIONS[name]
        tree.count(node, f"{name}()", least, most)
        arguments = [self.expression(argument) for argument in node.args]
        if name == "len" and self._path(node.args[0]) is not None:
            arguments = [self._operation(node.args[0], note=False)]  # reads nothing of the content: no charge
        return tree.call(tree.name(function), *arguments)

    def _method(self, node: ast.Call, function: ast.Attribute, note: bool) -> ast.expr:
        name = function.attr
        if name not in syntax.METHODS:
            raise Refused(node, syntax.unknown_method(name))
        tree.count(node, f".{name}()", *syntax.METHODS[name])
        if name in syntax.LITERAL_ARGUMENT and not all(isinstance(item, ast.Constant) for item in node.args):
            raise Refused(node, f".{name}() takes a 'text' written in the policy")
        arguments = [
            # A string's method given a marker would be Python's TypeError, not a marker that was read.
            self.expression(item) if isinstance(item, _LITERALS) else tree.readable(self.expression(item))
            for item in node.args
        ]
        return tree.call(ast.Attribute(self._receiver(function.value, note), name, ast.Load()), *arguments)

    def _matches(self, node: ast.Call) -> ast.expr:
        tree.count(node, "matches()", 2, 2)
        value, pattern = node.args
        if not (isinstance(pattern, ast.Constant) and isinstance(pattern.value, str)):
            raise Refused(pattern, "matches() takes its pattern as a 'text' written in the policy")
        compiled = compile_pattern(pattern, pattern.value)
        name = f"_pattern_{hashlib.blake2b(pattern.value.encode('utf-8', 'surrogatepass')).hexdigest()}"
        self.constants[name] = compiled
        self.metered = True
        matcher = ast.Attribute(tree.name("_meter"), "matches", ast.Load())
        return tree.call(matcher, tree.name(name), self.expression(value))

    def _loop(self, node: ast.Call, name: str) -> ast.expr:
        body = node.args[0] if len(node.args) == 1 else None
        if not isinstance(body, ast.GeneratorExp):
            raise Refused(node, f"write {name}(... for x in list)")
        if self._variable is not None:
            raise Refused(node, "a loop inside a loop is not possible here; put the totals into the payload")
        if len(body.generators) > 1:
            raise Refused(node, "only one `for` is possible here; put the flat list into the payload")
        loop = body.generators[0]
        if loop.is_async:
            raise Refused(node, "`async for` is not possible here; write `for`")
        if len(loop.ifs) > 1:
            raise Refused(loop.ifs[1], "only one `if` is possible here; join the two with `and`")
        variable = self._loop_variable(loop.target)
        source = tree.call(tree.name("_items"), self.expression(loop.iter))
        path = self._path(loop.iter)
        self._variable, self._variable_path = variable, path
        try:
            element = self.expression(body.elt)
            conditions = [self.expression(condition) for condition in loop.ifs]
            if name == "sum":
                self._note_numbers(body.elt)
        finally:
            self._variable = self._variable_path = None
        comprehension = ast.comprehension(ast.Name(variable, ast.Store()), source, conditions, 0)
        return tree.call(tree.name(LOOPS[name]), ast.GeneratorExp(element, [comprehension]))

    def _loop_variable(self, target: ast.expr) -> str:
        if not isinstance(target, ast.Name):
            raise Refused(target, "a loop has one variable; write `for x in list` and then x[0], x[1]")
        name = target.id
        taken = {*syntax.ROOTS, *FUNCTIONS, *LOOPS, "matches"}
        if name in taken or name.startswith("_"):
            raise Refused(target, f"{name} can't be a loop's variable; write `for item in list`")
        return name
