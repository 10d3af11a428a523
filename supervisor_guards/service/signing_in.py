"""Signing in: a name, a password, and how often that may go wrong.

Every try is counted in the store before the password is looked at, so that parallel tries can't get past a limit, and
taken back when it was right. A known name and an unknown one are answered alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select, update

from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.service import windows
from supervisor_guards.service.acts import act
from supervisor_guards.service.people import login_of, person_of
from supervisor_guards.service.principals import Person
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.schema import people
from supervisor_guards.service.vault import hashed

if TYPE_CHECKING:
    from supervisor_guards.service.core import Service

__all__ = ["WINDOW_SECONDS", "sign_in"]

WINDOW_SECONDS = 900
FROM_ONE_ADDRESS, OF_ONE_NAME, OF_NAME_FROM_ADDRESS = 50, 100, 10
"""Failures in a window. The third is met first: nobody shuts others out from an address of their own."""
_WRONG = "the name or the password is wrong"


async def sign_in(service: Service, name: str, password: str, address: str) -> tuple[Person, str]:
    """The person, and the cookie's value of a new session. Raises `Problem`: 401; 429 after too many failures."""
    wait, stored = await service.reading(_counted, service, name, address)
    if wait:
        raise Problem(
            429, f"too many failed sign-ins: try again in {math.ceil(wait / 60)} min", {"Retry-After": str(wait)}
        )
    if not await service.passwords.working(service.passwords.matches, stored, password):
        raise Problem(401, _WRONG)
    assert stored is not None
    renewed = stored
    if service.passwords.outdated(stored):
        renewed = await service.passwords.working(service.passwords.hash, password)
    opened = await service.reading(_opened, service, name, address, stored, renewed)
    if opened is None:  # the password was changed, or the person disabled, meanwhile
        raise Problem(401, _WRONG)
    return opened


def _limits(name: str, address: str) -> list[tuple[str, int, str]]:
    """Subject, limit, and what it counts. Names are hashed: what somebody typed there may be a password."""
    who = hashed(login_of(name))[:32]
    return [
        (f"sign-in:{who}:{address}", OF_NAME_FROM_ADDRESS, f"of one name from {address or 'an unknown address'}"),
        (f"sign-in:{who}", OF_ONE_NAME, "of one name"),
        (f"sign-in::{address}", FROM_ONE_ADDRESS, f"from {address or 'an unknown address'}"),
    ]


def _window() -> int:
    return windows.window_of(now_us(), WINDOW_SECONDS * 1_000_000)


def _counted(service: Service, name: str, address: str) -> tuple[int, str | None]:
    """The seconds to wait, 0 where this try is counted and may go on; and the hash to compare with."""

    def work(held: Connection, note: Callable[[Event], None]) -> tuple[int, str | None]:
        window = _window()
        known = held.execute(_active(name)).first()
        counts = [(windows.counted(held, one, window), one, limit, what) for one, limit, what in _limits(name, address)]
        for count, subject, limit, what in counts:
            if count < limit:
                continue
            if count == limit:  # told once a window: the record isn't filled by who tries on
                windows.add(held, subject, window, 1)
                whom = known.id if known is not None else "unknown"
                told = f"{limit} failed sign-ins {what}: refused for the rest of {WINDOW_SECONDS // 60} min"
                note(act("person", whom, "sign-in", told))
            return max(1, WINDOW_SECONDS - (now_us() - window) // 1_000_000), None
        for _, subject, _, _ in counts:
            windows.add(held, subject, window, 1)
        windows.sweep(held, window)
        return 0, None if known is None else known.password

    return service.store.transact(work)


def _opened(service: Service, name: str, address: str, stored: str, renewed: str) -> tuple[Person, str] | None:
    """A session, if the person is still there and `stored` is still their password's hash."""

    def work(held: Connection, note: Callable[[Event], None]) -> tuple[Person, str] | None:
        row = held.execute(_active(name)).first()
        if row is None or row.password != stored:
            return None
        if renewed != stored:
            held.execute(update(people).where(people.c.id == row.id).values(password=renewed))
        window = _window()
        (pair, _, _), *others = _limits(name, address)
        failed = max(0, windows.counted(held, pair, window) - 1)
        windows.forget(held, pair, window)
        for subject, _, _ in others:
            windows.take_back(held, subject, window)
        after = f" after {failed} failures" if failed else ""
        note(act("person", row.id, row.name, f"signed in from {address or 'an unknown address'}{after}"))
        return person_of(row, "session"), service.sessions.open(held, row.id)

    return service.store.transact(work)


def _active(name: str) -> Any:
    return select(people).where(people.c.login == login_of(name), people.c.disabled_at.is_(None))
