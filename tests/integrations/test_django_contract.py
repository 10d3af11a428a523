"""The contract table on Django's WSGI and ASGI handlers, in shadow and in enforce."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations import contract
from tests.integrations.django_client import STACKS, DjangoHarness, guarded

OWN_STATUS = {"a redirect": 301}
"""What Django itself answers otherwise: a missing slash is a permanent redirect."""


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("case", contract.CASES, ids=lambda case: case.name)
def test_a_request_is_answered_and_recorded_as_the_contract_says(
    case: contract.Case, mode: str, stack: str, tmp_path: Path
) -> None:
    handler, urls = STACKS[stack]
    case = case._replace(status=OWN_STATUS.get(case.name, case.status))
    with guarded(tmp_path, mode, root_urlconf=urls) as guard:
        contract.check(DjangoHarness(guard, handler), case, mode)
