"""Hot reload: an edit takes effect, a broken edit doesn't, and says so once."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from supervisor_guards._model import Outcome
from supervisor_guards.policy import source as module
from supervisor_guards.policy.document import PolicyError
from supervisor_guards.policy.source import PolicySource

GOOD = """\
name: refund.base
version: {version}
action: refund
rules:
  - {{id: cap, when: payload.amount > {cap}, action: deny}}
"""
BROKEN = "name: refund.base\nversion: 9\nrules:\n  - {id: cap, when: amount > 5, action: deny}\n"


def write(path: Path, text: str) -> None:
    """As editors and deployments do it: another file, renamed."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def denies(source: PolicySource, amount: int) -> bool:
    return source.current().evaluate("refund", {"amount": amount}).outcome is Outcome.DENY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "supervisor.yaml"
    write(path, GOOD.format(version=1, cap=100))
    return path


def test_an_edit_is_in_force_after_a_refresh(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = PolicySource(file)
    before = source.hash
    assert denies(source, 150)

    write(file, GOOD.format(version=2, cap=200))
    with caplog.at_level(logging.INFO, "supervisor_guards"):
        assert source.refresh()

    assert not denies(source, 150)
    assert source.hash != before
    assert "policy reloaded: refund.base@v2" in caplog.text
    assert not source.refresh()


def test_an_edit_in_place_is_seen_too(file: Path) -> None:
    source = PolicySource(file)

    file.write_text(GOOD.format(version=2, cap=20000))

    assert source.refresh()
    assert not denies(source, 150)


def test_current_looks_by_itself_when_nobody_refreshes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = PolicySource(file)
    write(file, GOOD.format(version=2, cap=200))
    assert denies(source, 150)

    monkeypatch.setattr(module, "RECHECK_SECONDS", -1)

    assert not denies(source, 150)


def test_a_broken_edit_keeps_the_last_good_version_and_is_logged_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = PolicySource(file)
    before = source.hash

    write(file, BROKEN)
    for _ in range(3):
        assert not source.refresh()

    assert denies(source, 150)
    assert source.hash == before
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "supervisor_guards"
    assert f"{file}:4: rule 'cap': `when`, column 1: amount is not known here" in record.getMessage()

    write(file, BROKEN + "# still\n")
    source.refresh()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 2

    write(file, GOOD.format(version=3, cap=300))
    assert source.refresh()
    assert not denies(source, 150)


def test_a_file_that_vanishes_keeps_the_last_good_version(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = PolicySource(file)

    file.unlink()
    assert not source.refresh()

    assert denies(source, 150)
    assert f"{file}: can't be read" in caplog.text


def test_a_folder_notices_files_that_come_and_go(tmp_path: Path, file: Path) -> None:
    source = PolicySource(tmp_path, unmatched="review")
    assert source.current().evaluate("payment", {"amount": 150}).outcome is Outcome.REVIEW

    write(tmp_path / "payment.yaml", GOOD.format(version=1, cap=100).replace("refund", "payment"))
    assert source.refresh()
    assert source.current().evaluate("payment", {"amount": 150}).outcome is Outcome.DENY

    (tmp_path / "payment.yaml").unlink()
    assert source.refresh()
    assert source.current().evaluate("payment", {"amount": 150}).outcome is Outcome.REVIEW


def test_the_first_load_raises(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(BROKEN)

    with pytest.raises(PolicyError, match="rule 'cap'"):
        PolicySource(tmp_path)
    with pytest.raises(PolicyError, match="can't be read"):
        PolicySource(tmp_path / "nowhere")


def test_warnings_are_logged(tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "z.yaml", GOOD.format(version=1, cap=5).replace("action: refund\n", "action: payment\n"))

    PolicySource(tmp_path)

    assert "refund.base@v1 is also in" in caplog.text


def test_many_threads_see_one_policy_or_the_other(file: Path) -> None:
    source = PolicySource(file)
    done = threading.Event()
    wrong: list[object] = []

    def judge() -> None:
        while not done.is_set():
            reasons = source.current().evaluate("refund", {"amount": 500}).reasons
            if reasons != ("cap",):
                wrong.append(reasons)

    threads = [threading.Thread(target=judge) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for version in range(2, 8):
            write(file, GOOD.format(version=version, cap=version))
            assert source.refresh()
            write(file, BROKEN)
            assert not source.refresh()
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert wrong == []
    assert source.current().policies[0].version == "7"
