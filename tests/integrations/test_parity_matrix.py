"""The matrix that the documentation shows is what the applications answer, and equal requests have equal digests."""

from __future__ import annotations

import pytest

from tests.integrations import contract, matrix

COMMAND = "python -m tests.integrations.matrix"


@pytest.fixture(scope="module")
def columns() -> dict[str, matrix.Column]:
    return matrix.measured()


def test_the_page_shows_what_is_answered(columns: dict[str, matrix.Column]) -> None:
    shown = matrix.PAGE.read_text(encoding="utf-8").partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    assert shown.splitlines() == matrix.rendered(columns).splitlines(), f"write it anew with `{COMMAND}`"


JUDGED = [case for case in contract.CASES if case.own is None and case.status in (200, 403)]
"""What can't be judged can't be approved either: its digest means nothing."""


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.name)
def test_the_same_request_has_the_same_digest_everywhere(
    case: contract.Case, columns: dict[str, matrix.Column]
) -> None:
    found = {
        name: column.digests.get(case.name, "none recorded")
        for name, column in columns.items()
        if case.name not in column.own
    }
    assert len(set(found.values())) == 1, found
    assert case.verdict is None or set(found.values()) != {"none recorded"}
