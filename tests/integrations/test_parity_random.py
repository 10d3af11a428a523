"""Whatever a request looks like: a guarded handler that ran was decided on, with what it saw."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from tests.integrations import contract
from tests.integrations.in_process import Site, keyed
from tests.integrations.parity import SITES
from tests.integrations.random_requests import requests

EXAMPLES = 80


@pytest.fixture(scope="module", params=[(name, mode) for name in SITES for mode in ("shadow", "enforce")], ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    name, mode = request.param
    with keyed(), SITES[name](tmp_path_factory.mktemp("random"), mode) as one:
        yield one, mode


def test_a_guarded_handler_that_ran_was_decided_on_with_what_it_saw(site: tuple[Site, str]) -> None:
    one, mode = site
    ran: list[str] = []

    @settings(max_examples=EXAMPLES)
    @given(requests())
    def send(case: contract.Case) -> None:
        contract.check_rule(one, one.send(case), mode)
        ran.extend(name for name in one.ran if name in contract.ACTIONS)

    send()
    assert len(set(ran)) > 1, "handlers have run, so something was compared"
