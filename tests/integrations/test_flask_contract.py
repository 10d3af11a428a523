"""The contract table on Flask, in shadow and in enforce."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations import contract
from tests.integrations.flask_client import FlaskHarness, contract_app, guarded, guards

OWN_STATUS = {"a redirect": 308}
"""What Flask itself answers otherwise: a missing slash is a permanent redirect that keeps the method."""


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("case", contract.CASES, ids=lambda case: case.name)
def test_a_request_is_answered_and_recorded_as_the_contract_says(
    case: contract.Case, mode: str, tmp_path: Path
) -> None:
    case = case._replace(status=OWN_STATUS.get(case.name, case.status))
    ran: list[str] = []
    app = contract_app(ran)
    with guarded(app, guards(tmp_path, mode)) as guard:
        contract.check(FlaskHarness(app, guard, ran), case, mode)
