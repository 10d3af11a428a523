"""Sessions of browsers: a cookie that only its hash is stored of, and the token that proves a form is ours.

`principal_of(request)` is what a page asks: who looks at it, by session or by a trusted proxy.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, delete, insert, select
from starlette.requests import Request
from starlette.responses import Response

from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service import forms
from supervisor_guards.service.acts import act
from supervisor_guards.service.people import person_of
from supervisor_guards.service.principals import Person
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.proxies import identity
from supervisor_guards.service.same_site import check_same_site
from supervisor_guards.service.schema import people
from supervisor_guards.service.schema import sessions as table
from supervisor_guards.service.vault import hashed, new_token

if TYPE_CHECKING:
    from supervisor_guards.service.core import Service

__all__ = ["CSRF_FIELD", "CSRF_HEADER", "Session", "Sessions", "csrf_token_of", "principal_of"]

CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf_token"
COOKIE = "supervisor_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Browsers take this name only with `Secure`, for this host alone: no neighbour can set it."""
MOST = 50
"""Sessions of one person; the oldest makes room."""
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_LOCAL_PAGE = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.ASCII)
_MAX_FORM = 65_536


class Session(msgspec.Struct, frozen=True):
    """A browser that is signed in. `expires_at` is in microseconds."""

    person: Person
    expires_at: int
    csrf_token: str


class Sessions:
    """The sessions in the database. `key` makes the tokens of forms."""

    def __init__(self, store: Store, key: bytes, hours: float) -> None:
        self._store = store
        self._key = key
        self.seconds = int(hours * 3_600)

    def open(self, held: Connection, person_id: str) -> str:
        """Within a transaction: a new session, and the cookie's value."""
        token = new_token("sgc")
        now = now_us()
        held.execute(delete(table).where(table.c.expires_at <= now))
        own = table.c.person_id == person_id
        newest = select(table.c.hash).where(own).order_by(table.c.created_at.desc()).limit(MOST - 1)
        kept = held.execute(newest).scalars().all()
        held.execute(delete(table).where(own, table.c.hash.not_in(kept)))
        expires = now + self.seconds * 1_000_000
        held.execute(insert(table).values(hash=hashed(token), person_id=person_id, created_at=now, expires_at=expires))
        return token

    def find(self, token: str) -> Session | None:
        """The session of a cookie; None where it ended, or its person is shut out."""
        query = (
            select(people.c.id, people.c.name, people.c.role, people.c.known_as, table.c.expires_at)
            .join(table, table.c.person_id == people.c.id)
            .where(table.c.hash == hashed(token), table.c.expires_at > now_us(), people.c.disabled_at.is_(None))
        )
        with self._store.reading() as held:
            row = held.execute(query).first()
        return None if row is None else Session(person_of(row, "session"), row.expires_at, self.csrf_token(token))

    def end(self, token: str) -> bool:
        """Sign out; whether there was such a session."""

        def work(held: Connection, note: Callable[[Event], None]) -> bool:
            chosen = table.c.hash == hashed(token)
            person_id = held.execute(select(table.c.person_id).where(chosen)).scalar()
            if person_id is None:
                return False
            held.execute(delete(table).where(chosen))
            name = held.execute(select(people.c.name).where(people.c.id == person_id)).scalar()
            note(act("person", person_id, str(name), "signed out"))
            return True

        return self._store.transact(work)

    def csrf_token(self, bound_to: str) -> str:
        """What a form must send: it is made of the cookie, and doesn't tell it."""
        return hmac.new(self._key, bound_to.encode(), hashlib.sha256).hexdigest()


async def principal_of(request: Request) -> Person | None:
    """Who looks at a page: the person whom a trusted proxy names, else the one whose session the cookie is of.

    None for nobody, and for a session that is over. Raises `Problem`: 403 where the proxy names somebody without an
    account, and for a request that changes something and doesn't come from a page of ours (CSRF).
    """
    if "supervisor_person" not in request.scope:
        request.scope["supervisor_person"] = await _recognised(request)
    person: Person | None = request.scope["supervisor_person"]
    return person


def ambient(request: Request) -> bool:
    """Whether a browser or a proxy sent something by itself that may name a person."""
    return bool(identity(request.scope)) or cookie(request) is not None


async def csrf_token_of(request: Request) -> str | None:
    """The token for the forms of a page; None for nobody."""
    person = await principal_of(request)
    return None if person is None else _service(request).sessions.csrf_token(_bound_to(request, person))


async def _recognised(request: Request) -> Person | None:
    service = _service(request)
    names = identity(request.scope)
    token = cookie(request)
    person: Person | None
    if names:
        person = await _named(service, names)
    elif token is not None:
        session = await service.reading(service.sessions.find, token)
        person = None if session is None else session.person
    else:
        return None
    if person is not None and request.method not in _SAFE:
        check_same_site(request)
        sent = request.headers.get(CSRF_HEADER)
        if sent is None:
            sent = (await forms.fields(request, _MAX_FORM)).get(CSRF_FIELD, "")
        expected = service.sessions.csrf_token(_bound_to(request, person))
        if not hmac.compare_digest(expected.encode(), sent.encode("utf-8", "replace")):
            raise Problem(
                403,
                f"the header X-CSRF-Token (or the form's field {CSRF_FIELD}) is missing, or of another session: send "
                "the csrf_token of GET /v1/session",
            )
    return person


async def _named(service: Service, names: Sequence[str]) -> Person:
    header = service.config.identity_header
    if len(names) > 1 or not names[0]:
        raise Problem(400, f"the header {header} names {len(names)} people or nobody: the proxy has to send one name")
    found = await service.reading(service.people.with_login, names[0])
    if found is None:
        raise Problem(403, f"{names[0][:80]!r} has no account here: an administrator makes one (people create)")
    return found.principal("proxy")


def cookie(request: Request) -> str | None:
    """The session's cookie, as it was sent."""
    found = request.cookies.get(SECURE_COOKIE)
    if found is None and _local(request):
        found = request.cookies.get(COOKIE)
    return found or None


def set_cookie(request: Request, response: Response, token: str, seconds: int) -> None:
    """Give the browser its session."""
    local = _sees_local(request)
    response.set_cookie(
        COOKIE if local else SECURE_COOKIE,
        token,
        max_age=seconds,
        path="/",
        httponly=True,
        secure=not local,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response) -> None:
    """Let the browser forget its session."""
    local = _sees_local(request)
    name = COOKIE if local else SECURE_COOKIE
    response.delete_cookie(name, path="/", httponly=True, secure=not local, samesite="lax")


def _local(request: Request) -> bool:
    """Whether the browser is on this machine and speaks plain HTTP: there `Secure` can't be had, nor is it needed."""
    forwarded = any(name in request.headers for name in ("forwarded", "x-forwarded-proto", "x-forwarded-for"))
    return request.url.scheme == "http" and request.url.hostname in _LOCAL and not forwarded


def _sees_local(request: Request) -> bool:
    """The same of a form's request, in which the browser says whose page it is of: no proxy can hide that."""
    return _local(request) and bool(_LOCAL_PAGE.fullmatch(request.headers.get("origin", "http://localhost")))


def _bound_to(request: Request, person: Person) -> str:
    """What the token of a form is made of."""
    return str(cookie(request)) if person.via == "session" else f"proxy {person.id}"


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
