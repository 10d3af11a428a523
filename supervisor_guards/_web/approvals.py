"""The `Supervisor-Approval` header: which approvals a request wants to use up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from supervisor_guards.errors import ApprovalInvalid

APPROVAL_HEADER = "Supervisor-Approval"
MAX_APPROVALS = 4
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{7,127}", re.ASCII)


def approvals(values: Sequence[str]) -> tuple[str, ...]:
    """The action ids in the header's `values`: a comma list of at most four.

    Raises `ApprovalInvalid` for more, for a header sent twice, an id given twice, and what is no id. Such a
    request doesn't go on without its approvals, or a broken client would open a review with each attempt; where
    nothing is enforced the header isn't looked at.
    """
    if not values:
        return ()
    if len(values) > 1:
        raise ApprovalInvalid("deny", ["approval-header-repeated"])
    ids = tuple(part.strip() for part in values[0].split(","))
    if len(ids) > MAX_APPROVALS:
        raise ApprovalInvalid("deny", ["too-many-approvals"])
    if len(set(ids)) < len(ids) or not all(_ID.fullmatch(one) for one in ids):
        raise ApprovalInvalid("deny", ["approval-header-malformed"])
    return ids
