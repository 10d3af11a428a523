"""The contract table on Starlette and FastAPI, in shadow and in enforce."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations import contract
from tests.integrations.asgi_apps import MAKERS, harness


@pytest.mark.parametrize("framework", MAKERS)
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("case", contract.CASES, ids=lambda case: case.name)
def test_a_request_is_answered_and_recorded_as_the_contract_says(
    case: contract.Case, mode: str, framework: str, tmp_path: Path
) -> None:
    with harness(MAKERS[framework], tmp_path, mode) as one:
        contract.check(one, case, mode)
