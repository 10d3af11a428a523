"""Who sent a request: an application by its signed token, a person by token, session or trusted proxy.

An application's token is a JWT (RFC 7519) under HS256, whose key is the integration's secret; `exp` is required,
and `sub` names the integration. The scopes that count are the integration's own, whatever the token says.
"""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from typing import Any

import jwt
from sqlalchemy import select

from supervisor_guards.embedded.rows import clean_text, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.integrations import Credentials, Integrations
from supervisor_guards.service.principals import Integration, Person
from supervisor_guards.service.problems import Problem
from supervisor_guards.service.schema import tokens
from supervisor_guards.service.vault import hashed

__all__ = ["Access"]

LEEWAY_SECONDS = 30
"""How far the clocks of an application and the service may differ."""
MAX_TOKEN = 4_096
_LAST_SECOND = 253_402_300_800
_KEPT = 10_000
_FRESH_SECONDS = 5.0
"""How long an integration's secrets are remembered, at most: a change is heard of sooner."""


class Access:
    """Recognises callers. What it remembers is forgotten when the database's access tables change (`forget`)."""

    def __init__(self, store: Store, integrations: Integrations, admin_token: str | None = None) -> None:
        self._store = store
        self._admin_hash = None if admin_token is None else hashed(admin_token)
        self._integrations = integrations
        self._credentials: dict[str, tuple[float, Credentials | None]] = {}
        self._verified: OrderedDict[str, tuple[float, Integration]] = OrderedDict()
        self._forgotten = 0

    def forget(self) -> None:
        """Look everything up again. What is being looked up meanwhile isn't remembered: it may be older."""
        self._forgotten += 1
        self._credentials.clear()
        self._verified.clear()

    def remembered(self, authorization: str | None) -> Integration | None:
        """The integration of a header that was checked a moment ago: no database, no cryptography."""
        if authorization is None:
            return None
        found = self._verified.get(authorization)
        return found[1] if found is not None and found[0] > time.time() else None

    def integration(self, authorization: str | None) -> Integration:
        """The integration that `authorization`, the header, is signed by. Raises `Problem` 401."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _refused("missing bearer token")
        if len(token) > MAX_TOKEN:
            raise _refused("invalid token: too long")
        subject = _subject(token)
        forgotten = self._forgotten
        credentials = self._known(subject)
        if credentials is None:
            raise _refused("integration not found or revoked")
        claims, former = _verified(token, credentials)
        good_until = min(float(claims["exp"]), time.time() + _FRESH_SECONDS)
        if former and credentials.former_until is not None:
            good_until = min(good_until, credentials.former_until / 1_000_000)
        if forgotten == self._forgotten:
            self._verified[str(authorization)] = (good_until, credentials.integration)
        if len(self._verified) > _KEPT:
            self._verified.popitem(last=False)
        return credentials.integration

    def administrator(self, token: str | None) -> Person | None:
        """Whose administrator's token this is; None where none was sent. Raises `Problem` 401 for another."""
        if token is None:
            return None
        if self._admin_hash is not None:
            # The one in the settings stands instead of those in the database.
            if hmac.compare_digest(self._admin_hash, hashed(token)):
                return Person("", "admin token", "administrator")
            raise _refused("invalid admin token")
        with self._store.reading() as held:
            query = select(tokens.c.hash, tokens.c.label, tokens.c.expires_at).where(
                tokens.c.person_id.is_(None), tokens.c.revoked_at.is_(None)
            )
            known = held.execute(query).all()
        sent = hashed(token)
        found = None
        for row in known:  # all of them are compared, each in constant time
            if hmac.compare_digest(row.hash, sent) and (row.expires_at is None or row.expires_at > now_us()):
                found = row.label
        if found is None:
            raise _refused("invalid admin token")
        return Person("", found, "administrator")

    def _known(self, integration_id: str) -> Credentials | None:
        kept = self._credentials.get(integration_id)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        forgotten = self._forgotten
        found = self._integrations.credentials(integration_id)
        if forgotten != self._forgotten:
            return found
        if len(self._credentials) >= _KEPT:
            self._credentials.clear()
        self._credentials[integration_id] = (time.monotonic() + _FRESH_SECONDS, found)
        return found


def _subject(token: str) -> str:
    """Whom an unverified token says it is from: which secret to verify it with."""
    try:
        claims: Any = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _refused("invalid token: not a JWT") from None
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise _refused("token missing sub claim")
    if clean_text(subject) != subject:  # no database would take it
        raise _refused("integration not found or revoked")
    return subject


def _verified(token: str, credentials: Credentials) -> tuple[dict[str, Any], bool]:
    """The claims, and whether the former secret has signed them."""
    problem = "bad signature"
    for number, secret in enumerate(credentials.secrets):
        try:
            claims = jwt.decode(
                token,
                secret,
                algorithms=["HS256"],
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub"], "verify_aud": False},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.ExpiredSignatureError:
            problem = "token expired"
        except jwt.MissingRequiredClaimError as error:
            problem = f"no {error.claim} claim"
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            problem = str(error)[:80] or type(error).__name__
        else:
            # RFC 7519 wants a number. What is beyond the year 9999 is none that a clock will see.
            if type(claims["exp"]) in (int, float) and claims["exp"] < _LAST_SECOND:
                return claims, number > 0
            problem = "exp is no time in seconds"
    raise _refused(f"invalid token: {problem}")


def _refused(detail: str) -> Problem:
    return Problem(401, detail, {"WWW-Authenticate": "Bearer"})
