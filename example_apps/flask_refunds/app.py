"""The shop's back office as a Flask service. An agent works with it, and three of its actions are risky.

E-mails and account deletions are guarded by rules, from outside: the views don't know. The refund is guarded where its
view stands.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Flask, Request, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from example_apps.flask_refunds.shop import Email, NotFound, Shop
from supervisor_guards.web import ANONYMOUS, User
from supervisor_guards_flask import SupervisorGuards, review_status, supervised_view

REVIEWS = "/reviews"
RULES = [
    {"route": "POST /emails", "action": "email_send", "payload": ["body.recipients", "body.subject", "body.body"]},
    {"route": "DELETE /accounts/<account>", "action": "account_deletion", "payload": ["path.account"]},
]
TOKENS = {"token-of-the-support-agent": User("support-agent", kind="service")}
"""Who may knock. A real service asks its authentication; the guard only needs an id that stays the same."""

guards = SupervisorGuards()
back_office = Blueprint("back_office", __name__)


def who(request: Request) -> User:
    """The sender, by bearer token. An approval is for the one who asked, so the guards want to know."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return TOKENS.get(token, ANONYMOUS) if scheme.lower() == "bearer" else ANONYMOUS


def the_shop() -> Shop:
    shop: Shop = current_app.extensions["shop"]
    return shop


@back_office.get("/orders/<order_id>")
def order(order_id: str) -> ResponseReturnValue:
    found = the_shop().order(order_id)
    return {"order_id": order_id, "total": str(found.total), "refunded": str(found.refunded)}


@back_office.post("/orders/<order_id>/refunds")
@supervised_view("refund", payload=["path.order_id", "body.amount:number", "body.reason"])
def refund(order_id: str) -> ResponseReturnValue:
    amount = positive(request.get_json().get("amount"))
    return {"order_id": order_id, "refunded": str(the_shop().refund(order_id, amount).refunded)}


@back_office.post("/emails")
def send_email() -> ResponseReturnValue:
    email = request.get_json()
    recipients = tuple(email["recipients"])
    the_shop().send(Email(recipients, email["subject"], email["body"]))
    return {"sent_to": len(recipients)}


@back_office.delete("/accounts/<account>")
def delete_account(account: str) -> ResponseReturnValue:
    the_shop().delete_account(account)
    return {"deleted": account}


def positive(value: Any) -> Decimal:
    """`value` as an amount of money. Answers 422 where it is none."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        abort(422, "amount is no number")
    if not amount.is_finite() or amount <= 0:
        abort(422, "amount is not greater than 0")
    return amount


def as_json(error: HTTPException) -> ResponseReturnValue:
    """Errors as JSON. Refusals are none of them: they are answered as they are."""
    return jsonify(detail=error.description), error.code or 500


def not_found(error: NotFound) -> ResponseReturnValue:
    return jsonify(detail=str(error)), 404


def create_app(shop: Shop | None = None, **settings: Any) -> Flask:
    """The service. It is guarded as the environment says; `settings` are more keys of `SUPERVISOR_GUARDS`."""
    app = Flask(__name__)
    app.config["SUPERVISOR_GUARDS"] = {
        "RULES": RULES,
        "USER_RESOLVER": who,
        "REVIEW_URL": REVIEWS,
        **settings,
    }
    app.extensions["shop"] = shop or Shop()
    guards.init_app(app)
    app.register_blueprint(back_office)
    app.register_blueprint(
        guards.exempt(review_status(), reason="only tells where a review stands"), url_prefix=REVIEWS
    )
    app.register_error_handler(HTTPException, as_json)
    app.register_error_handler(NotFound, not_found)
    return app
