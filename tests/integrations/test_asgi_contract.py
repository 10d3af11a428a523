"""The contract on Starlette and FastAPI, in shadow and in enforce."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations import contract
from tests.integrations.asgi_sites import SITES
from tests.integrations.in_process import Site, keyed

MODES = ("shadow", "enforce")


@pytest.fixture(scope="module", params=[(name, mode) for name in SITES for mode in MODES], ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    name, mode = request.param
    with keyed(), SITES[name](tmp_path_factory.mktemp("asgi"), mode) as one:
        yield one, mode


@pytest.mark.parametrize("case", contract.CASES, ids=lambda case: case.name)
def test_a_request_is_answered_and_recorded_as_the_contract_says(site: tuple[Site, str], case: contract.Case) -> None:
    contract.check_seen(site[0], case, site[1])


@pytest.mark.parametrize("story", contract.STORIES, ids=lambda story: story.name)
def test_approvals_and_replays_are_answered_as_the_contract_says(site: tuple[Site, str], story: contract.Story) -> None:
    contract.play(site[0], story, site[1])
