"""What guarded calls know of their surroundings, as text: for work that another process does later."""

from __future__ import annotations

from contextvars import Token
from typing import Any, Literal

import msgspec

from supervisor_guards._context import (
    Facts,
    Observed,
    _approval,
    _facts,
    _observed,
    current_approval,
    current_facts,
)
from supervisor_guards._payload import decode, snapshot


class Parcel(msgspec.Struct, frozen=True, omit_defaults=True):
    """What travels. What an adapter knows for sure stands apart from what the application said, as it does here."""

    version: Literal[1]
    context: dict[str, Any] | None = None
    approvals: tuple[str, ...] = ()
    facts: Facts | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Parcel)


def export_context() -> str | None:
    """What guarded calls would record here, as text for `restored_context`; None where there is nothing.

    That is what `observing` and `observe` set (as plain data, of at most 65,536 bytes), the approvals of `approved`,
    and what an adapter knows for sure of the request being served: its subject, route and tenant, and what
    policies read as `request`. Nothing is redacted: the text is as confidential as the work it goes with.
    """
    observed, approvals, facts = _observed.get(), current_approval(), current_facts()
    if observed is None and approvals is None and facts is None:
        return None
    context = dict(observed.plain) if observed is not None else None
    return _encoder.encode(Parcel(1, context, approvals or (), _plain(facts))).decode()


class restored_context:
    """Guarded calls in the block record what `text` holds, and nothing of what was set outside of it.

    `text` is from `export_context`; None stands for nothing. Whoever can write it says who acts, so take it from
    where you would also take the work itself. Raises `ValueError` for what is no such text.
    """

    __slots__ = ("_parcel", "_tokens")

    def __init__(self, text: str | None) -> None:
        self._parcel = _read(text) if text is not None else None
        self._tokens: tuple[Token[Any], ...] = ()

    def __enter__(self) -> None:
        parcel = self._parcel
        if parcel is None:
            self._set(None, None, None)
            return
        context = Observed(parcel.context, parcel.context) if parcel.context is not None else None
        self._set(context, parcel.approvals or None, parcel.facts)

    def __exit__(self, *raised: object) -> None:
        observed, approval, facts = self._tokens
        _facts.reset(facts)
        _approval.reset(approval)
        _observed.reset(observed)

    def _set(self, observed: Observed | None, approvals: tuple[str, ...] | None, facts: Facts | None) -> None:
        self._tokens = (_observed.set(observed), _approval.set(approvals), _facts.set(facts))


class kept_context(restored_context):
    """What is set inside of the block is forgotten at its end; what was set outside of it holds in it too."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None)

    def __enter__(self) -> None:
        self._set(_observed.get(), _approval.get(), _facts.get())


def _read(text: str) -> Parcel:
    try:
        return _decoder.decode(text)
    except (TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"this is no exported context: {error}") from None


def _plain(facts: Facts | None) -> Facts | None:
    """The facts as such: adapters may stand something lazy in for them, which is read by attribute."""
    if facts is None:
        return None
    request = decode(snapshot(facts.request)) if facts.request is not None else None
    return Facts(facts.subject, facts.route, request, facts.tenant)
