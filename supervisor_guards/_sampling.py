"""Which side of `sample` a call falls on: the same key, always the same side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from supervisor_guards._model import Snapshot
from supervisor_guards._payload import decode


def bucket(
    app_id: str,
    action_type: str,
    sample_key: Callable[[str, Any], str] | None,
    subject: str | None,
    context: Mapping[str, Any] | None,
    body: Snapshot,
) -> int:
    """The bucket, 0 to 99, of a call; it is enforced when that is below the percentage.

    The key is what `sample_key(action_type, payload)` answers, else the authenticated subject, else the
    context's `user_id`, else its `session_id`, else the payload itself. A `sample_key` that raises falls in
    bucket 0: enforced unless nothing is, so an error can't be used to leave the sample.
    """
    if sample_key is not None:
        try:
            return _hashed(app_id, action_type, str(sample_key(action_type, decode(body))).encode(errors="replace"))
        except Exception:
            return 0
    known = context or {}
    for key in (subject, known.get("user_id"), known.get("session_id")):
        if key is not None:
            return _hashed(app_id, action_type, str(key).encode(errors="replace"))
    return _hashed(app_id, action_type, body.full_hash or body.body)


def _hashed(app_id: str, action_type: str, key: bytes) -> int:
    material = b"\0".join((app_id.encode(errors="replace"), action_type.encode(errors="replace"), key))
    return int.from_bytes(hashlib.blake2b(material, digest_size=8).digest(), "big") % 100
