"""Reading an object without running any of its code: classes by their own descriptors, fields where they are stored.

`getattr`, `isinstance`, `in` and `==` would all ask the object, its class or its metaclass.
"""

from __future__ import annotations

import sys
import types
from typing import Any
from uuid import UUID

mro = type.__dict__["__mro__"].__get__
_namespace = type.__dict__["__dict__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__
_MAX_NAME = 200
_FIELD_HOLDERS = (
    "__dataclass_fields__", "__attrs_attrs__", "__struct_fields__",
    "__pydantic_core_schema__", "__pydantic_fields__", "__fields__",
)  # fmt: skip
"""Classes with one of these declare their fields; the values stand in the instance."""
_PLAIN_KEYS = frozenset({id(int), id(str), id(UUID)})


def base_of(value: Any, candidates: tuple[type, ...]) -> Any:
    """The one of `candidates` that `value` is an instance of."""
    return next(base for base in mro(type(value)) if any(base is one for one in candidates))


def declares_fields(bases: tuple[type, ...]) -> bool:
    """Whether a class with these bases is a dataclass, or one of attrs, msgspec or pydantic."""
    return any(name in _namespace(base) for base in bases for name in _FIELD_HOLDERS)


def stored_fields(value: Any, bases: tuple[type, ...]) -> list[tuple[Any, Any]]:
    """The public fields an instance holds itself, in its dict or its slots."""
    fields = dict(instance_dict(value) or {})
    for base in bases:
        for name, member in _namespace(base).items():
            if type(member) is types.MemberDescriptorType and name not in fields:
                try:
                    fields[name] = member.__get__(value)
                except AttributeError:
                    continue
    extra = fields.get("__pydantic_extra__")
    if type(extra) is dict:
        fields = {**extra, **fields}
    return [(name, item) for name, item in fields.items() if type(name) is str and not name.startswith("_")]


def instance_dict(value: Any) -> dict[str, Any] | None:
    """The dict that holds an instance's attributes, not what a `__dict__` property would answer."""
    for base in mro(type(value)):
        entry = _namespace(base).get("__dict__")
        if type(entry) is types.GetSetDescriptorType or type(entry) is types.MemberDescriptorType:
            found = entry.__get__(value)
            return found if type(found) is dict else None
    return None


def model(value: Any, kind: type, bases: tuple[type, ...]) -> dict[str, Any] | None:
    """A database model as its type and its key, if that is loaded; None for what isn't one."""
    for base in bases:
        if "_meta" in _namespace(base):
            fields = instance_dict(value) or {}
            column = (instance_dict((instance_dict(_namespace(base)["_meta"]) or {}).get("pk")) or {}).get("attname")
            names = (column,) if type(column) is str else ("pk", "id", "uuid")
            marker: dict[str, Any] = named(kind)
            for key in (fields[name] for name in names if id(type(fields.get(name))) in _PLAIN_KEYS):
                marker["pk"] = str(key) if type(key) is UUID else key
                break
            return marker
    return None


def module_of(kind: type) -> str:
    """The top-level module a class says it is from."""
    module = _module(kind)
    return module.partition(".")[0] if type(module) is str else ""


def is_numpy_scalar(bases: tuple[type, ...]) -> bool:
    """Whether this is one of NumPy's own scalar types; a user's subclass isn't."""
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    return generic is not None and module_of(bases[0]) == "numpy" and any(base is generic for base in bases)


def named(kind: type) -> dict[str, Any]:
    """The marker of an object that isn't read: its type's name."""
    module, name = _module(kind), str.__str__(_qualname(kind))
    full = f"{module}.{name}" if type(module) is str else name
    return {"__object__": full.encode("utf-8", "replace").decode()[:_MAX_NAME]}
