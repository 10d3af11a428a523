"""From a call's arguments to a payload: bound by name, by a function generated once, when decorating.

`inspect.signature(...).bind` costs 6 us a call; a generated function with the same parameters costs 0.3.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

Extractor = Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]
Call = tuple[str, ...]
"""The parameters a call gave by position, in order; `*rest` and `**extra` as they are written."""


def make_extractor(function: Callable[..., Any], *, drop_first: bool = False) -> Extractor:
    """A function that answers `{parameter: value}` for a call of `function`, defaults applied.

    `*rest` is a list under its name, `**extra` a mapping under its name; what a `functools.partial` holds is
    bound too. `drop_first` leaves out the first parameter, the instance or class of a method, which the call's
    arguments still hold. The extractor raises the `TypeError` that the function itself would for wrong arguments,
    unless `function` is a wrapper, which may take others than what it wraps. Then, and for a callable without a
    signature, the answer is `{"args": [...], "kwargs": {...}}`.
    """
    if isinstance(function, functools.partial) and not _has_placeholder(function):
        inner = make_extractor(function.func, drop_first=drop_first)
        first, named = function.args, function.keywords
        return lambda args, kwargs: inner((*first, *args), {**named, **kwargs})
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return functools.partial(_unnamed, int(drop_first))
    bound = _generate(getattr(function, "__name__", "call"), parameters, drop_first)
    extract: Extractor = lambda args, kwargs: bound(*args, **kwargs)  # noqa: E731 - a def costs the caller no less
    return _lenient(extract, int(drop_first)) if hasattr(function, "__wrapped__") else extract


def make_call_note(function: Callable[..., Any], *, drop_first: bool = False) -> Callable[[int], Call] | None:
    """A function of the number of positional arguments that names the parameters they went to, for `published_view`.

    None for a callable whose calls can't be told from its signature: a partial, a wrapper, a builtin.
    """
    if isinstance(function, functools.partial) or hasattr(function, "__wrapped__"):
        return None
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    positional = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    rest = [f"*{one.name}" for one in parameters if one.kind is one.VAR_POSITIONAL]
    rest += [f"**{one.name}" for one in parameters if one.kind is one.VAR_KEYWORD]
    most = len(positional)
    calls = [(*positional[int(drop_first) : count], *rest) for count in range(most + 1)]
    return lambda count: calls[min(count, most)]


def published_view(payload: dict[str, Any], call: Call) -> dict[str, Any]:
    """`payload` as policies written for the published package read it: with `args` and `kwargs` beside the names.

    They hold the very values that stand under the parameters' names, so what was redacted there is redacted here.
    Defaults that were applied are in `kwargs`. A parameter of that name keeps it.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name in call:
        value = payload.get(name.lstrip("*"))
        if name.startswith("**"):
            kwargs.update(value if type(value) is dict else {name[2:]: value})
        elif name.startswith("*"):
            args.extend(value if type(value) is list else [value])
        else:
            args.append(value)
    named = {name.lstrip("*") for name in call}
    kwargs.update((name, value) for name, value in payload.items() if name not in named)
    return {"args": args, "kwargs": kwargs, **payload}


def _has_placeholder(function: functools.partial[Any]) -> bool:
    """Python 3.14 lets a partial leave out positions; its own signature knows which."""
    placeholder = getattr(functools, "Placeholder", None)
    return placeholder is not None and any(value is placeholder for value in function.args)


def _lenient(extract: Extractor, skipped: int) -> Extractor:
    def attempt(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            return extract(args, kwargs)
        except TypeError:
            return _unnamed(skipped, args, kwargs)

    return attempt


def _unnamed(skipped: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"args": list(args[skipped:]), "kwargs": dict(kwargs)}


def _generate(name: str, parameters: list[inspect.Parameter], drop_first: bool) -> Callable[..., dict[str, Any]]:
    """Source is made of parameter names alone, which are identifiers; defaults travel as objects."""
    defaults: list[Any] = []
    heads: list[str] = []
    fields: list[str] = []
    starred = False
    for index, parameter in enumerate(parameters):
        kind, own = parameter.kind, parameter.name
        if kind is parameter.KEYWORD_ONLY and not starred:
            heads.append("*")
            starred = True
        head, value = own, own
        if kind is parameter.VAR_POSITIONAL:
            head, value, starred = f"*{own}", f"__list({own})", True
        elif kind is parameter.VAR_KEYWORD:
            head = f"**{own}"
        elif parameter.default is not parameter.empty:
            head = f"{own}=__defaults[{len(defaults)}]"
            defaults.append(parameter.default)
        heads.append(head)
        following = parameters[index + 1].kind if index + 1 < len(parameters) else None
        if kind is parameter.POSITIONAL_ONLY and following is not parameter.POSITIONAL_ONLY:
            heads.append("/")
        if drop_first and index == 0 and kind is parameter.VAR_POSITIONAL:
            fields.append(f"{own!r}: __list({own}[1:])")
        elif not (drop_first and index == 0):
            fields.append(f"{own!r}: {value}")
    own_name = name if name.isidentifier() and not name.startswith("__") else "call"
    source = f"def {own_name}({', '.join(heads)}): return {{{', '.join(fields)}}}"
    namespace: dict[str, Any] = {"__defaults": tuple(defaults), "__list": list}
    try:
        exec(source, namespace)  # noqa: S102 - made of identifiers only, see above
    except SyntaxError:  # a keyword as a name, or a lambda
        namespace = {"__defaults": tuple(defaults), "__list": list}
        exec(source.replace(f"def {own_name}(", "def call(", 1), namespace)  # noqa: S102 - as above
        own_name = "call"
    made: Callable[..., dict[str, Any]] = namespace[own_name]
    return made
