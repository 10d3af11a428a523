"""Secrets and tokens: made at random, hashed where they are only compared, encrypted where they are needed again."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from supervisor_guards.embedded.keys import Keys
from supervisor_guards.errors import ConfigurationError

__all__ = ["Rotated", "Vault", "check_edition", "edition", "hashed", "new_token"]

_NONCE = 12


def new_token(prefix: str) -> str:
    """A token of 256 random bits; the prefix tells people and scanners what it is."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def hashed(token: str) -> str:
    """What is stored of a token: SHA-256, hex. Enough for 256 random bits; passwords need more (`people`)."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Rotated(ValueError):
    """The secret isn't the one any more that somebody looked at."""


def edition(sealed: str) -> str:
    """What tells one stored secret of an owner from the next, and nothing else of it."""
    return hashed(sealed)[:16]


def check_edition(sealed: str | None, seen: str | None) -> None:
    """Raises `Rotated` where `seen`, an edition that somebody looked at, isn't that of `sealed`; None fits all."""
    if seen is not None and sealed is not None and edition(sealed) != seen:
        raise Rotated("the secret was rotated already, by somebody else or by sending this twice: nothing was changed")


class Vault:
    """Encrypts under a subkey of the master key: AES-256-GCM (NIST SP 800-38D), with what it belongs to bound in."""

    def __init__(self, keys: Keys) -> None:
        self._cipher = AESGCM(keys.subkey("service-secrets"))
        self._key_id = keys.key_id

    def seal(self, secret: str, owner: str) -> str:
        """`secret` encrypted, as text. It opens for the same `owner` alone."""
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, secret.encode(), owner.encode())
        return f"{self._key_id}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, text: str, owner: str) -> str:
        """The secret in `text`. Raises `ConfigurationError` where another master key sealed it, or it was edited."""
        key_id, _, sealed = text.partition(":")
        if key_id != self._key_id:
            raise ConfigurationError(
                f"a secret of {owner} was encrypted under master key {key_id}, and {self._key_id} is in use: give "
                "every process of the service the same SUPERVISOR_MASTER_KEY"
            )
        raw = base64.b64decode(sealed)
        try:
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], owner.encode()).decode()
        except InvalidTag:
            raise ConfigurationError(f"the stored secret of {owner} was changed: rotate it") from None
