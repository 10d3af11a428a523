"""What the commands of the service share: opening it, and what an application needs of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from supervisor_guards._cli import output

if TYPE_CHECKING:
    from supervisor_guards.service.core import Service
    from supervisor_guards.service.integrations import StoredIntegration

BY = "command line"
"""How the record names who acts in the shell."""
_OPTIONS = {"database": "SUPERVISOR_DATABASE_URL", "policy": "SUPERVISOR_POLICY"}


def set_environment(**given: str | None) -> None:
    """Options as environment, so that the processes that serve read the same."""
    for name, value in given.items():
        if value is not None:
            os.environ[_OPTIONS[name]] = value


def opened() -> Service:
    """The service of the settings, its database made current. Raises what `Commands` prints as one line."""
    try:
        from supervisor_guards.service.config import ServiceConfig
        from supervisor_guards.service.core import Service
    except ModuleNotFoundError as error:
        output.fail(f"the service needs {error.name}: install the extra `service`")
    return Service(ServiceConfig.load())


def three_lines(address: str, made: StoredIntegration, secret: str) -> str:
    """What the application sets: `made` is who it is, at the service at `address`."""
    return f"SUPERVISOR_BASE_URL={address}\nSUPERVISOR_APP_ID={made.id}\nSUPERVISOR_SECRET={secret}"
