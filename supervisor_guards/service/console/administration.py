"""What the pages for administrators share: who may, how a list is cut, and the step before what can't be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service.console.service_source import ServiceSource
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import text
from supervisor_guards.service.core import Service
from supervisor_guards.service.integrations import Unfit
from supervisor_guards.service.problems import Problem

__all__ = [
    "HERE", "PAGE", "Step", "administered", "ahead", "another_secret", "choice", "confirming", "lines", "page_of",
    "routes", "said_of", "sentence", "told_once", "wanting",
]  # fmt: skip

HERE = "administration"
PAGE = 100
"""Rows of one page."""
S = TypeVar("S", bound=str)
T = TypeVar("T")


class Step(msgspec.Struct, frozen=True):
    """What can't be undone, before it is done: what it does in words, where its form goes, and the way back."""

    title: str
    says: tuple[str, ...]
    tick: str
    """What the person confirms."""
    button: str
    place: str
    back: str
    fields: Mapping[str, str] = {}
    """What the form sends beside the tick."""


async def enter(visit: Visit) -> Response:
    """To the first of the pages."""
    administered(visit)
    return visit.to("/administration/integrations")


def administered(visit: Visit) -> Service:
    """The service, for an administrator. Raises `Problem` 403 for anybody else."""
    visit.visitor.demand("administrator")
    assert isinstance(visit.source, ServiceSource)
    return visit.source.service


async def confirming(visit: Visit, step: Step) -> Response | None:
    """The page that asks for the tick; None once it was set."""
    form = await visit.form()
    if form.get("sure") == "yes":
        return None
    missed = "asked" in form
    return await visit.page("confirm.html", {"here": HERE, "step": step, "missed": missed}, 422 if missed else 200)


def another_secret(title: str, says: tuple[str, ...], receiver: str, page: str, seen: str) -> Step:
    """The step before another secret of what `page` shows; `seen` is the edition of the one that is in use.

    A form that is sent again, by reloading the page with the secret, must not end that one.
    """
    tick = f"I can give the {receiver} the new secret in time."
    return Step(title, says, tick, "Make a new secret", f"{page}/rotate", page, {"seen": seen})


async def told_once(visit: Visit, title: str, says: Sequence[str], secret: str, onward: str) -> Response:
    """The page with a secret that no other page shows: `secret` is what to copy."""
    values = {"here": HERE, "title": title, "says": says, "secret": secret, "onward": onward}
    return await visit.page("told_once.html", values)


def sentence(said: object) -> str:
    """What an error says, as a sentence of its own."""
    words = str(said)
    return f"{words[:1].upper()}{words[1:]}."


def wanting(error: Unfit) -> dict[str, str]:
    """What each field has to be given, by its name."""
    return {name: f"Give {wanted}." for name, wanted in error.problems.items()}


def ahead(time: int | None) -> int | None:
    """`time`, if it is still to come."""
    return time if time is not None and time > now_us() else None


def lines(given: str) -> list[str]:
    """What stands in the lines of a text field, without blank ones."""
    return [line.strip() for line in given.splitlines() if line.strip()]


def page_of(rows: Sequence[T], asked: Mapping[str, str]) -> tuple[Sequence[T], int | None]:
    """The page of `rows` that the address asks for, and where the next one begins. Raises `Problem` 404, 422."""
    given = asked.get("from", "0")
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise Problem(422, f"from={given[:40]!r}: follow the link of the page before")
    start = int(given)
    if start and start >= len(rows):
        raise Problem(404, f"from={start}: there are {len(rows)}; begin at the first page")
    end = start + PAGE
    return rows[start:end], end if end < len(rows) else None


def said_of(done: Mapping[str, str], asked: Mapping[str, str]) -> str | None:
    """What the page says was done, where the address it was sent to names one of `done`."""
    return done.get(asked.get("done", ""))


def choice(name: str, given: str | None, choices: Sequence[S]) -> S | None:
    """`given`, if it is one of them; None for None. Raises `Problem` 422."""
    found = next((one for one in choices if one == given), None)
    if given is not None and found is None:
        raise Problem(422, f"{name} {text(given, 40)!r}: choose one of {', '.join(choices)}")
    return found


routes: list[Any] = [("/administration", "GET", enter)]
