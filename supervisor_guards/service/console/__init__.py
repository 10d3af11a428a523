"""The console: what a person sees and decides, over an embedded guard or the service.

`console(guard, authenticate=...)` is an ASGI application to be mounted anywhere; the service mounts it at `/console`.
"""

from supervisor_guards.service.console.app import Console, console
from supervisor_guards.service.console.visitors import Authenticate, Visitor

__all__ = ["Authenticate", "Console", "Visitor", "console"]
