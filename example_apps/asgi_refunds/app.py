"""The shop's back office as a FastAPI service. An agent works with it, and three of its actions are risky.

E-mails and account deletions are guarded by a rule, from outside: the endpoints don't know. The refund is guarded by a
decorator, so that the policy judges the validated amount, whatever form it was sent in.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from example_apps.asgi_refunds.shop import Email, NotFound, Shop
from supervisor_guards.web import ANONYMOUS, User
from supervisor_guards_asgi import RouteRule, SupervisorMiddleware, guard_responses, review_status, supervised_route

REVIEWS = "/reviews"
RULES = [
    RouteRule("POST /emails", "email_send", payload=["body.recipients", "body.subject", "body.body"]),
    RouteRule("DELETE /accounts/{account}", "account_deletion", payload=["path.account"]),
]
TOKENS = {"token-of-the-support-agent": User("support-agent", kind="service")}
"""Who may knock. A real service asks its authentication; the guard only needs an id that stays the same."""


def who(connection: HTTPConnection) -> User:
    """The sender, by bearer token. An approval is for the one who asked, so the guards want to know."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return TOKENS.get(token, ANONYMOUS) if scheme.lower() == "bearer" else ANONYMOUS


def the_shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


TheShop = Annotated[Shop, Depends(the_shop)]


class NewRefund(BaseModel):
    amount: Decimal = Field(gt=0)
    reason: str = ""


class NewEmail(BaseModel):
    recipients: list[str]
    subject: str
    body: str


def asked_for(order_id: str, refund: NewRefund, **_: Any) -> dict[str, Any]:
    """What the policy sees of a refund: the arguments of the path operation, without the shop."""
    return {"order_id": order_id, "amount": refund.amount, "reason": refund.reason}


router = APIRouter(responses=guard_responses())


@router.get("/orders/{order_id}")
def order(order_id: str, shop: TheShop) -> dict[str, Any]:
    found = shop.order(order_id)
    return {"order_id": order_id, "total": found.total, "refunded": found.refunded}


@router.post("/orders/{order_id}/refunds")
@supervised_route("refund", payload=asked_for, user=who, review_url=REVIEWS)
def refund(order_id: str, refund: NewRefund, shop: TheShop) -> dict[str, Any]:
    return {"order_id": order_id, "refunded": shop.refund(order_id, refund.amount).refunded}


@router.post("/emails")
def send_email(email: NewEmail, shop: TheShop) -> dict[str, Any]:
    shop.send(Email(tuple(email.recipients), email.subject, email.body))
    return {"sent_to": len(email.recipients)}


@router.delete("/accounts/{account}")
def delete_account(account: str, shop: TheShop) -> dict[str, Any]:
    shop.delete_account(account)
    return {"deleted": account}


def not_found(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 404)


def create_app(shop: Shop | None = None) -> FastAPI:
    """The service. It is guarded as the environment, or `supervisor_guards.configure`, says."""
    app = FastAPI(title="Back office of a small shop")
    app.state.shop = shop or Shop()
    app.include_router(router)
    app.add_exception_handler(NotFound, not_found)
    app.mount(REVIEWS, review_status(user=who))
    app.add_middleware(SupervisorMiddleware, rules=RULES, user=who, review_url=REVIEWS)
    return app


app = create_app()
