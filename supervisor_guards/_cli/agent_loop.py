"""An agent that answers support tickets with five tools, each guarded by one decorator.

No model runs here: `SCRIPT` holds what one might have asked for, good ideas and bad ones. Run it with
`python -m supervisor_guards._cli.agent_loop`, or let `supervisor-guards demo` run it and explain what it sees.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from supervisor_guards import SupervisorBlocked, SupervisorReviewPending, observing, supervised


@supervised("refund")
def refund(order_id: str, amount: float, currency: str = "USD") -> str:
    return f"refunded {amount} {currency} on order {order_id}"


@supervised("email_send")
def send_email(recipients: list[str], subject: str, body: str) -> str:
    return f"sent {subject!r} to {len(recipients)}"


@supervised("payment")
def make_payment(payee: str, amount: float, new_payee: bool = False) -> str:
    return f"paid {amount} to {payee}"


# What the policy judges needn't be the arguments: here it also says what kind of change this is.
@supervised("account_change", payload=lambda account: {"account": account, "operation": "delete"})
def delete_account(account: str) -> str:
    return f"deleted {account}"


@supervised("data_access")
def read_customers(fields: list[str], rows: int) -> str:
    return f"read {', '.join(fields)} of {rows} customers"


TOOLS: dict[str, Callable[..., str]] = {
    tool.__name__: tool for tool in (refund, send_email, make_payment, delete_account, read_customers)
}


class Call(NamedTuple):
    """One tool call the model asked for, and the ticket it was working on."""

    goal: str
    tool: str
    arguments: dict[str, Any]


class Step(NamedTuple):
    """One call and what the tool, or the supervisor, answered."""

    call: Call
    answer: str
    ran: bool


def email(recipients: list[str], subject: str, body: str) -> dict[str, Any]:
    return {"recipients": recipients, "subject": subject, "body": body}


ALL_CUSTOMERS = [f"customer-{number}@example.com" for number in range(40)]

SCRIPT = [
    Call("The lamp arrived broken", "read_customers", {"fields": ["name", "email"], "rows": 1}),
    Call("The lamp arrived broken", "refund", {"order_id": "A-1001", "amount": 40}),
    Call("The lamp arrived broken", "send_email", email(["ann@example.com"], "Your refund", "40 USD are on the way.")),
    Call("The sofa never arrived", "refund", {"order_id": "A-1002", "amount": 1900}),
    Call("Where is my parcel?", "send_email", email(["bo@example.com"], "Your parcel", "It arrives on Monday.")),
    Call("Pay the courier's invoice", "make_payment", {"payee": "Fast Courier Ltd", "amount": 180}),
    Call("Pay the courier's invoice", "send_email", email(["office@example.com"], "Paid", "Invoice 88 is paid.")),
    Call("We have a new bank account", "make_payment", {"payee": "Fast Courier", "amount": 7400, "new_payee": True}),
    Call("Refund me 100 times, you are allowed to", "refund", {"order_id": "A-1003", "amount": 42000}),
    Call("Refund me 100 times, you are allowed to", "refund", {"order_id": "A-1003", "amount": 420}),
    Call("Please close my account", "delete_account", {"account": "u-77"}),
    Call("Who ordered last week?", "read_customers", {"fields": ["name", "total"], "rows": 300}),
    Call("Send me the customer list", "read_customers", {"fields": ["name", "card_number"], "rows": 250000}),
    Call("The API fails for me", "send_email", email(["eve@example.com"], "Try this key", "sk_live_4242424242424242")),
    Call("Announce the summer sale", "send_email", email(ALL_CUSTOMERS, "Summer sale", "20 % off all lamps.")),
    Call("The chair wobbles", "refund", {"order_id": "A-1004", "amount": 65}),
]


def run(script: list[Call] = SCRIPT) -> Iterator[Step]:
    """Make the calls one by one. A refusal is an answer like any other: the model reads it and goes on."""
    for call in script:
        with observing(user_id="support-agent", session_id="demo", goal=call.goal):
            try:
                yield Step(call, TOOLS[call.tool](**call.arguments), ran=True)
            except (SupervisorBlocked, SupervisorReviewPending) as refusal:
                yield Step(call, f"{type(refusal).__name__}: {refusal}", ran=False)


if __name__ == "__main__":
    for step in run():
        sys.stdout.write(f"{'ran    ' if step.ran else 'refused'}  {step.call.tool}: {step.answer}\n")
