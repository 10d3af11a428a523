"""What a request shows of who asks: an application's signed bearer token, or a reviewer's own token."""

from __future__ import annotations

import time
from collections.abc import Callable

LIFETIME = 300
"""Seconds a token is valid, as version 1 of the protocol has it."""
_EARLY = 60
"""Seconds before its end at which a new one is signed: clocks differ, and requests take time."""


class Token:
    """`Authorization` for one application: an HS256 JSON Web Token (RFC 7519). Its repr shows none of it."""

    def __init__(
        self, app_id: str, secret: str, scopes: tuple[str, ...], clock: Callable[[], float] = time.time
    ) -> None:
        self._app_id = app_id
        self._secret = secret
        self._scopes = list(scopes)
        self._clock = clock
        self._signed: tuple[float, bytes] = (0.0, b"")

    def __repr__(self) -> str:
        return f"<Token of {self._app_id!r}>"

    def header(self) -> tuple[bytes, bytes]:
        """The header with a token that holds for another minute at least."""
        now = self._clock()
        renewed, value = self._signed
        # A clock that was set back makes the token one from the future.
        if not renewed - LIFETIME <= now < renewed:
            value = self._sign(int(now))
            self._signed = (now + LIFETIME - _EARLY, value)
        return (b"Authorization", value)

    def _sign(self, now: int) -> bytes:
        import jwt

        claims = {"sub": self._app_id, "scopes": self._scopes, "iat": now, "exp": now + LIFETIME}
        return b"Bearer " + jwt.encode(claims, self._secret, "HS256").encode("ascii")


_PERSONS = "sgr_"
"""How a token begins that a person made for a program at a service of ours; any other is an administrator's."""


class ReviewerToken:
    """The credential of a reviewer, which stands instead of the application's own. Its repr shows none of it."""

    def __init__(self, token: str) -> None:
        self._value = header_value(token)
        self.is_persons = token.startswith(_PERSONS)

    def __repr__(self) -> str:
        return f"<ReviewerToken of {'a person' if self.is_persons else 'an administrator'}>"

    def header(self) -> tuple[bytes, bytes]:
        """The one header that names who asks."""
        if self.is_persons:
            return (b"Authorization", b"Bearer " + self._value)
        return (b"X-Admin-Token", self._value)


def header_value(text: str) -> bytes:
    """`text` as a header's value, which is one line of ASCII."""
    return text.encode("unicode_escape")
