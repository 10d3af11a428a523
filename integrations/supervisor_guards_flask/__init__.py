"""supervisor-guards for Flask: a Flask extension.

>>> from supervisor_guards_flask import SupervisorGuards
>>> guards = SupervisorGuards()
>>> guards.init_app(app)  # doctest: +SKIP
"""

try:
    import flask as flask
except ImportError as error:
    raise ImportError("supervisor_guards_flask needs Flask: install supervisor-guards[flask]") from error

from supervisor_guards.web import RouteRule, User, supervised_exempt
from supervisor_guards_flask.answers import Refused
from supervisor_guards_flask.decorators import supervised_view
from supervisor_guards_flask.extension import SupervisorGuards
from supervisor_guards_flask.reviews import review_status
from supervisor_guards_flask.routes import audit
from supervisor_guards_flask.visits import get_decision

__all__ = [
    "Refused",
    "RouteRule",
    "SupervisorGuards",
    "User",
    "audit",
    "get_decision",
    "review_status",
    "supervised_exempt",
    "supervised_view",
]
