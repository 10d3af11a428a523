"""The pytest plugin in fresh pytest processes: found by its entry point, and unnoticed where nobody uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

APPLICATION = """
from supervisor_guards import configure, supervised

@supervised("refund")
def refund(amount):
    return amount

def create_app():
    configure(enforcement_mode="shadow")
"""

TESTS = """
import pytest
from supervisor_guards import Guard, SupervisorBlocked, SupervisorUnavailable, get_guard
from supervisor_guards.testing import deny, down, review

from application import create_app, refund


def test_all_is_allowed_until_there_is_a_script(scripted_supervisor):
    assert refund(5) == 5
    assert [call.payload for call in scripted_supervisor.calls] == [{"amount": 5}]


def test_each_test_has_its_own(scripted_supervisor, supervisor_guard):
    assert scripted_supervisor.calls == []
    assert supervisor_guard is get_guard()
    assert supervisor_guard.supervisor is scripted_supervisor
    scripted_supervisor.on("refund", review(approve_after=2), deny("too-much"), down())
    assert refund(5) == 5
    with pytest.raises(SupervisorBlocked, match="too-much"):
        refund(5)
    with pytest.raises(SupervisorUnavailable):
        refund(5)
    assert [call.polls for call in scripted_supervisor.calls] == [2, 0, 0]


def test_the_guard_alone(supervisor_guard):
    assert isinstance(supervisor_guard, Guard)
    assert supervisor_guard.check("refund", {"amount": 5}).allowed


class TestShadow:
    @pytest.fixture
    def supervisor_settings(self):
        return {"enforcement_mode": "shadow"}

    def test_settings_can_be_overridden(self, scripted_supervisor):
        scripted_supervisor.on("refund", deny())
        assert refund(5) == 5


class TestItsOwnSettings:
    @pytest.fixture
    def supervisor_settings(self):
        return None

    def test_they_are_the_application_s(self, scripted_supervisor):
        create_app()
        scripted_supervisor.on("refund", deny())
        assert refund(5) == 5
        assert len(scripted_supervisor.calls) == 1


def test_nothing_is_left(tmp_path):
    import os
    import supervisor_guards._default, supervisor_guards._guard

    assert supervisor_guards._default.made() is None
    assert supervisor_guards._guard._stand_in is None
    assert sorted(os.listdir()) == ["application.py", "test_application.py"]
"""

UNRELATED = """
import sys, threading

HEAVY = "django flask starlette sqlalchemy alembic httpx click rich regex yaml supervisor_guards.testing".split()


def test_nothing_was_done():
    assert "supervisor_guards._pytest_plugin" in sys.modules
    assert [name for name in HEAVY if name in sys.modules] == []
    assert threading.active_count() == 1
    from supervisor_guards._default import made
    assert made() is None
"""


def run(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "PYTEST"))}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fixtures_are_there_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "test_application.py").write_text(TESTS)
    assert "6 passed" in run(tmp_path)


def test_a_project_that_uses_none_of_it_notices_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_unrelated.py").write_text(UNRELATED)
    others = [f"-pno:{name}" for name in ("hypothesispytest", "anyio", "xdist", "timeout")]
    assert "1 passed" in run(tmp_path, *others)
    assert [path.name for path in tmp_path.iterdir()] == ["test_unrelated.py"]


def test_fixtures_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text("def test_none(): pass")
    shown = run(tmp_path, "--fixtures")
    for name in ("scripted_supervisor", "supervisor_guard", "supervisor_settings"):
        assert f"\n{name} -- " in shown
