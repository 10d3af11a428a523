"""What an approval is bound to: a keyed digest of action type and content; and how keys are made from one."""

from __future__ import annotations

import hashlib
import hmac

from supervisor_guards._model import Snapshot


def digest(key: bytes, action_type: str, snapshot: Snapshot) -> str | None:
    """HMAC-SHA256 (RFC 2104), hex, over the action type and the payload before redaction and truncation.

    The order of keys doesn't matter, the type of a number does (1 and 1.0 differ, as their JSON does). None
    where the payload was too large to be read whole: what can't be told apart can't be approved.
    """
    if snapshot.truncated and snapshot.full_hash is None:
        return None
    content = snapshot.full_hash or hashlib.blake2b(snapshot.body, digest_size=32).digest()
    material = action_type.encode("utf-8", "surrogatepass") + b"\0" + content
    return hmac.digest(key, material, "sha256").hex()


def hkdf(master: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, to one block: 32 bytes."""
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), master, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")
