"""The contract on Flask, in shadow and in enforce."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations import contract
from tests.integrations.flask_client import harness
from tests.integrations.in_process import Site, keyed


@pytest.fixture(scope="module", params=["shadow", "enforce"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    with keyed(), harness(tmp_path_factory.mktemp("flask"), request.param) as one:
        yield one, request.param


@pytest.mark.parametrize("case", contract.CASES, ids=lambda case: case.name)
def test_a_request_is_answered_and_recorded_as_the_contract_says(site: tuple[Site, str], case: contract.Case) -> None:
    contract.check_seen(site[0], case, site[1])


@pytest.mark.parametrize("story", contract.STORIES, ids=lambda story: story.name)
def test_approvals_and_replays_are_answered_as_the_contract_says(site: tuple[Site, str], story: contract.Story) -> None:
    contract.play(site[0], story, site[1])
