"""The shop, its agent and a reviewer in one minute: `make demo`, or `python -m example_apps.asgi_refunds.demo`.

The service runs on a free port of this machine, first in shadow, then enforced. Its log stays in `.supervisor-demo/`.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import click
import uvicorn

from example_apps.asgi_refunds.agent import APPROVAL_HEADER, Agent, Answer
from example_apps.asgi_refunds.app import create_app
from example_apps.asgi_refunds.shop import Shop
from supervisor_guards import GuardConfig, configure

# Only for the printing, which all demos share. An application needs nothing that begins with an underscore.
from supervisor_guards._cli import first_look
from supervisor_guards._cli.decisions import last_id
from supervisor_guards.config import reset_for_tests
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

POLICY = Path(__file__).with_name("supervisor.yaml")
REVIEWER = "dana"


class Server(uvicorn.Server):
    """uvicorn in a thread, which says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()


@contextmanager
def serving(shop: Shop) -> Iterator[str]:
    """The service at a free port, for the length of the block. Yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(uvicorn.Config(create_app(shop), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            if not server.listening.wait(timeout=30) or server.should_exit:
                raise SystemExit("the service did not start; its log says why")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


def main(folder: Path) -> None:
    """Run all of it, with the log in `folder`."""
    folder = first_look.writable(folder)
    with first_look.quiet():
        answers, rows = in_shadow(folder)
        click.echo(f"An agent sent {len(answers)} requests to a shop in shadow: every one was served.")
        first_look.print_caught(rows)
        click.echo("\nThe same agent, with everything enforced:")
        enforced(folder)
    guard = ("Give your routes rules", 'RouteRule("POST /refunds/{order_id}", "refund", payload=["body.amount"])')
    flip = 'configure(actions={"refund": {"mode": "enforce"}})'
    routes = f"{first_look.command_name()} routes {create_app.__module__}:app"
    first_look.print_next_steps(folder, POLICY, guard, flip, ("Let CI look at the routes", routes))
    if folder == Path(first_look.FOLDER):
        click.echo("In the clone: make console")


def in_shadow(folder: Path) -> tuple[list[Answer], list[StoredDecision]]:
    """The agent's answers, and the decisions on what it did, in its order."""
    before = _newest(folder)
    with guarded(folder, "shadow"), serving(Shop()) as address, Agent(address) as agent:
        answers = list(agent.run())
    refused = [answer for answer in answers if answer.status >= 400]
    if refused:
        raise SystemExit(f"shadow let something fail: {refused[0]}")
    with _store(folder) as supervisor:
        return answers, supervisor.store.decisions(100, after=before)


def enforced(folder: Path) -> None:
    """Print the refusals, then what becomes of one that a person approves."""
    shop = Shop()
    with guarded(folder, "enforce"), serving(shop) as address, Agent(address) as agent:
        answers = [answer for answer in agent.run() if answer.problem]
        for answer in answers:
            _print(answer)
        click.echo(f"Each is application/problem+json; the first one: {json.dumps(answers[0].content)}")
        held = next(answer for answer in answers if answer.problem == "approval-required")
        click.echo(
            f"\nThe agent asks for {held.content['review_url']}: {agent.review(held)}. {REVIEWER.title()} looks:"
        )
        command = f"{first_look.command_name()} reviews approve {held.action_id[:8]} --as {REVIEWER}"
        click.echo(f"  SUPERVISOR_STATE_DIR={shlex.quote(str(folder))} {command}")
        with _store(folder) as supervisor:
            ReviewDesk(supervisor.store).resolve(held.action_id, "approved", None, Principal(REVIEWER))
        click.echo(f"Now it is {agent.review(held)}, and the same request passes with it, once:")
        for _ in range(2):
            _print(agent.send(held.task, approval=held.action_id), f"  {APPROVAL_HEADER}: {held.action_id[:8]}...")
    paid = {order.order_id: int(order.refunded) for order in shop.orders.values() if order.refunded}
    click.echo(
        f"The shop has refunded {paid}, sent {len(shop.outbox)} e-mails, and kept {len(shop.accounts)} accounts."
    )


@contextmanager
def guarded(folder: Path, mode: Literal["shadow", "enforce"]) -> Iterator[None]:
    """The default guard, which the application asks, in `mode` for the length of the block."""
    configure(enforcement_mode=mode, policy=str(POLICY), state_dir=str(folder), default_on_review="fail_closed")
    try:
        yield
    finally:
        reset_for_tests()


@contextmanager
def _store(folder: Path) -> Iterator[EmbeddedSupervisor]:
    """The log in `folder`, as another process would open it."""
    with closing(EmbeddedSupervisor.from_config(GuardConfig(policy=str(POLICY), state_dir=str(folder)))) as supervisor:
        yield supervisor


def _newest(folder: Path) -> int:
    with _store(folder) as supervisor:
        return last_id(supervisor.store)


def _print(answer: Answer, with_header: str = "") -> None:
    task, said = answer.task, answer.content
    text = f"{answer.problem} ({said['action']})" if answer.problem else said
    click.echo(f"  {answer.status}  {task.method} {task.path}{with_header}  {text}")


if __name__ == "__main__":
    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        del os.environ[name]  # a first look works where the application's own settings are half done
    main(Path(first_look.FOLDER))
