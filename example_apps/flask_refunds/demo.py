"""The shop, its agent and a reviewer on gunicorn: `python -m example_apps.flask_refunds.demo [sync|gthread|gevent]`.

The service runs on a free port of this machine, first in shadow, then enforced. Its log stays in `.supervisor-demo/`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import httpx

from example_apps.flask_refunds.agent import APPROVAL_HEADER, Agent, Answer
from supervisor_guards import GuardConfig

# Only for the printing, which all demos share. An application needs nothing that begins with an underscore.
from supervisor_guards._cli import first_look
from supervisor_guards._cli.decisions import last_id
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

POLICY = Path(__file__).with_name("supervisor.yaml")
ROOT = Path(__file__).parents[2]
WORKERS = {"sync": (), "gthread": ("--threads", "4"), "gevent": ()}
REVIEWER = "dana"


@contextlib.contextmanager
def serving(folder: Path, mode: str, worker: str = "sync") -> Iterator[str]:
    """The service on gunicorn with one `worker`, for the length of the block. Yields its address."""
    settings = {
        "SUPERVISOR_ENFORCEMENT_MODE": mode,
        "SUPERVISOR_POLICY": str(POLICY),
        "SUPERVISOR_STATE_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "integrations"))),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "FLASK_"))}
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, (folder / "service.log").open("ab") as log:
        command = [
            sys.executable, "-m", "gunicorn", "--bind", f"fd://{listener.fileno()}", "--log-level", "error",
            "--worker-class", worker, *WORKERS[worker], "example_apps.flask_refunds.app:create_app()",
        ]  # fmt: skip
        port = listener.getsockname()[1]
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and words of this file
            command, env={**others, **settings}, pass_fds=[listener.fileno()], stderr=log
        )
    try:
        # The socket listens already, so the first request waits until a worker takes it.
        httpx.get(f"http://127.0.0.1:{port}/orders/A-1001", timeout=60, trust_env=False)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


@click.command()
@click.argument("worker", type=click.Choice(list(WORKERS)), default="sync")
def main(worker: str) -> None:
    """Run all of it on gunicorn's WORKER."""
    folder = first_look.writable(Path(first_look.FOLDER))
    answers, rows = in_shadow(folder, worker)
    click.echo(f"An agent sent {len(answers)} requests to a shop in shadow: every one was served.")
    first_look.print_caught(rows)
    click.echo("\nThe same agent, with everything enforced:")
    enforced(folder, worker)


def in_shadow(folder: Path, worker: str) -> tuple[list[Answer], list[StoredDecision]]:
    """The agent's answers, and the decisions on what it did, in its order."""
    with _store(folder) as supervisor:
        before = last_id(supervisor.store)
    with serving(folder, "shadow", worker) as address, Agent(address) as agent:
        answers = list(agent.run())
    refused = [answer for answer in answers if answer.status >= 400]
    if refused:
        raise SystemExit(f"shadow let something fail: {refused[0]}")
    with _store(folder) as supervisor:
        return answers, supervisor.store.decisions(100, after=before)


def enforced(folder: Path, worker: str) -> None:
    """Print the refusals, then what becomes of one that a person approves."""
    with serving(folder, "enforce", worker) as address, Agent(address) as agent:
        answers = [answer for answer in agent.run() if answer.problem]
        for answer in answers:
            _print(answer)
        click.echo(f"Each is application/problem+json; the first one: {json.dumps(answers[0].content)}")
        held = next(answer for answer in answers if answer.problem == "approval-required")
        click.echo(
            f"\nThe agent asks for {held.content['review_url']}: {agent.review(held)}. {REVIEWER.title()} approves it."
        )
        with _store(folder) as supervisor:
            ReviewDesk(supervisor.store).resolve(held.action_id, "approved", None, Principal(REVIEWER))
        click.echo(f"Now it is {agent.review(held)}, and the same request passes with it, once:")
        for _ in range(2):
            _print(agent.send(held.task, approval=held.action_id), f"  {APPROVAL_HEADER}: {held.action_id[:8]}...")


@contextlib.contextmanager
def _store(folder: Path) -> Iterator[EmbeddedSupervisor]:
    """The log in `folder`, as another process opens it."""
    config = GuardConfig(policy=str(POLICY), state_dir=str(folder))
    with contextlib.closing(EmbeddedSupervisor.from_config(config)) as supervisor:
        yield supervisor


def _print(answer: Answer, with_header: str = "") -> None:
    task, said = answer.task, answer.content
    text = f"{answer.problem} ({said['action']})" if answer.problem else said
    click.echo(f"  {answer.status}  {task.method} {task.path}{with_header}  {text}")


if __name__ == "__main__":
    for name in [name for name in os.environ if name.startswith("SUPERVISOR_")]:
        del os.environ[name]  # a first look works where the application's own settings are half done
    main()
