"""Who may ask a peer: bearer tokens (RFC 7519, HS256 alone) and the administrator's."""

from __future__ import annotations

import jwt

from tests.remote.peers.ruling import Refused
from tests.remote.peers.sockets import Request

APP_ID = "app-1"
SECRET = "the shared secret of app-1, long enough"
ADMIN_TOKEN = "the administrator's token"


def integration(request: Request, secrets: dict[str, str]) -> str:
    """The integration whose token came with `request`. Raises `Refused` 401 with the texts seen on the wire."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind != "Bearer" or not token:
        raise Refused(401, "missing bearer token")
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        sub = claims.get("sub")
        if not isinstance(sub, str):
            raise Refused(401, "token missing sub claim")
        if sub not in secrets:
            raise Refused(401, "integration not found or revoked")
        jwt.decode(token, secrets[sub], algorithms=["HS256"], options={"require": ["exp", "iat", "sub"]}, leeway=5)
    except jwt.ExpiredSignatureError:
        raise Refused(401, "invalid token: token expired") from None
    except jwt.InvalidSignatureError:
        raise Refused(401, "invalid token: bad signature") from None
    except jwt.PyJWTError as error:
        raise Refused(401, f"invalid token: {error}") from None
    return sub


def administrator(request: Request) -> str:
    """Who an administrator claims to act for. Raises `Refused` 401."""
    if request.headers.get("x-admin-token") != ADMIN_TOKEN:
        raise Refused(401, "invalid admin token")
    return f"admin token, claiming {request.headers.get('x-approver', 'nobody')}"
