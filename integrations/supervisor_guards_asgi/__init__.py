"""supervisor-guards for ASGI: Starlette, FastAPI and any ASGI application.

>>> from supervisor_guards_asgi import RouteRule, SupervisorMiddleware
>>> rule = RouteRule("POST /refunds/{order_id}", "refund", payload=["path.order_id", "body.amount"])
>>> # app.add_middleware(SupervisorMiddleware, rules=[rule])
"""

try:
    import starlette  # noqa: F401
except ImportError as error:
    raise ImportError("supervisor_guards_asgi needs Starlette: install supervisor-guards[asgi]") from error

from supervisor_guards.web import RouteRule, User, supervised_exempt
from supervisor_guards_asgi.answers import Refused, refusal_handler
from supervisor_guards_asgi.audit import audit, list_routes
from supervisor_guards_asgi.decorators import supervised_route
from supervisor_guards_asgi.dependencies import guard_responses, requires
from supervisor_guards_asgi.guards import RouteGuard, get_decision
from supervisor_guards_asgi.lifespan import guard_lifespan
from supervisor_guards_asgi.middleware import SupervisorMiddleware
from supervisor_guards_asgi.status import review_status

__all__ = [
    "Refused",
    "RouteGuard",
    "RouteRule",
    "SupervisorMiddleware",
    "User",
    "audit",
    "get_decision",
    "guard_lifespan",
    "guard_responses",
    "list_routes",
    "refusal_handler",
    "requires",
    "review_status",
    "supervised_exempt",
    "supervised_route",
]
