"""The pytest plugin: fixtures that are there where the package is installed, and cost nothing until they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from supervisor_guards._guard import Guard
    from supervisor_guards.testing import ScriptedSupervisor


@pytest.fixture
def supervisor_settings() -> Mapping[str, Any] | None:
    """Settings of the guard that `scripted_supervisor` makes; override it for a module, a folder or a class.

    None leaves them to the application itself.
    """
    from supervisor_guards.testing import SETTINGS

    return SETTINGS


@pytest.fixture
def scripted_supervisor(supervisor_settings: Mapping[str, Any] | None) -> Iterator[ScriptedSupervisor]:
    """A supervisor that answers by a script, for the default guard of this test; all is allowed until it has one."""
    from supervisor_guards.testing import scripted

    with scripted(settings=supervisor_settings) as supervisor:
        yield supervisor


@pytest.fixture
def supervisor_guard(scripted_supervisor: ScriptedSupervisor) -> Guard:
    """The default guard of this test, which asks `scripted_supervisor`."""
    from supervisor_guards._default import get_guard

    return get_guard()
