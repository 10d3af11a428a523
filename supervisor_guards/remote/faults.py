"""What an exchange with the service can come to besides an answer."""

from __future__ import annotations

from typing import Literal

Kind = Literal["unreached", "late", "broken", "answered", "wrong"]

_ABOUT_ALL = (401, 404, 405, 408, 425, 429)
"""What every request would be answered; 404 and 405 come from what is no supervisor."""


class Fault(Exception):
    """No usable answer. `what` says what happened, in words for the end of a sentence.

    `kind`: `unreached` (nothing was sent), `late` (the time was over), `broken` (the connection ended), `answered`
    (an HTTP status that is no success, in `status`), `wrong` (an answer that can't be used). `retry_after` is what
    the service asked for, in seconds.
    """

    def __init__(self, kind: Kind, what: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.status = status
        self.retry_after = retry_after

    @property
    def about_the_request(self) -> bool:
        """Whether the service works and this one request is what it refuses."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in _ABOUT_ALL

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        if self.status == 401:
            return "check app_id and shared_secret (SUPERVISOR_APP_ID, SUPERVISOR_SECRET)"
        if self.status == 403:
            return "grant this application the scope at the service"
        if self.status == 429:
            return "ask less often, or have the service's limit raised"
        if self.about_the_request:
            return "see the service's own log for what it expects"
        if self.kind == "wrong" or self.status in (404, 405, *range(300, 400)):
            return "check that base_url (SUPERVISOR_BASE_URL) is the supervisor service itself"
        if self.kind == "late":
            return "see whether it is slow, or raise evaluate_timeout_seconds (SUPERVISOR_EVALUATE_TIMEOUT_SECONDS)"
        return "check that the service runs and base_url (SUPERVISOR_BASE_URL) is its address"
