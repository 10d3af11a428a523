"""The shop as a Django project, its agent and a reviewer: `python -m example_apps.django_refunds.demo [SERVER]`.

The project runs on a free port of this machine, first in shadow, then enforced, by default on gunicorn with threads.
Its database and its log stay in `.supervisor-demo-django/`.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
import httpx

from example_apps.asgi_refunds.agent import APPROVAL_HEADER, Agent, Answer
from supervisor_guards import GuardConfig

# Only for the printing, which all demos share. An application needs nothing that begins with an underscore.
from supervisor_guards._cli import first_look
from supervisor_guards._cli.decisions import last_id
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor

FOLDER = ".supervisor-demo-django"
PROJECT = "example_apps.django_refunds"
POLICY = Path(__file__).with_name("supervisor.yaml")
REVIEWER = "dana"
WSGI, ASGI = f"{PROJECT}.wsgi", f"{PROJECT}.asgi:application"
_GUNICORN = ("gunicorn", "--bind", "fd://{fd}", "--log-level", "warning")
SERVERS = {
    "gthread": (*_GUNICORN, "--worker-class", "gthread", "--threads", "4", WSGI),
    "sync": (*_GUNICORN, "--workers", "2", "--preload", WSGI),
    "uvicorn": ("uvicorn", "--fd", "{fd}", "--log-level", "warning", ASGI),
}
"""The same project, unchanged, under WSGI and ASGI."""


def environment(folder: Path, mode: str) -> dict[str, str]:
    """Where the project keeps its things, and in which mode; other settings of the environment stay away."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISOR_", "DJANGO_"))}
    here = {"SHOP_FOLDER": str(folder), "SUPERVISOR_STATE_DIR": str(folder), "SUPERVISOR_ENFORCEMENT_MODE": mode}
    return {**clean, **here}


def manage(folder: Path, *words: str) -> str:
    """What a command of `manage.py` prints; `SystemExit` with its words where it fails."""
    command = [sys.executable, "-m", f"{PROJECT}.manage", *words]
    done = subprocess.run(  # noqa: S603 - this interpreter, and words of this module
        command, env=environment(folder, "enforce"), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def serving(server: str, folder: Path, mode: str) -> Iterator[str]:
    """The project on its first day, served by `server` for the length of the block. Yields its address."""
    manage(folder, "open_shop")
    with socket.create_server(("127.0.0.1", 0)) as listener, (folder / f"{server}.log").open("ab") as log:
        descriptor = listener.fileno()
        command = [sys.executable, "-m", *(part.format(fd=descriptor) for part in SERVERS[server])]
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and words of this module
            command, env=environment(folder, mode), pass_fds=[descriptor], stdout=log, stderr=log
        )
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        try:
            # The connection waits at the listening socket until the server takes it.
            httpx.get(f"{address}/orders/A-1001", timeout=60, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            raise SystemExit(f"{server} does not answer ({error}); {log.name} says why") from None
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def main(folder: Path, server: str) -> None:
    """Run all of it, with the log in `folder`."""
    folder = first_look.writable(folder).absolute()
    with first_look.quiet():
        answers, rows = in_shadow(folder, server)
        click.echo(f"An agent sent {len(answers)} requests to a Django project in shadow: every one was served.")
        first_look.print_caught(rows)
        click.echo("\nThe same agent, with everything enforced:")
        enforced(folder, server)


def in_shadow(folder: Path, server: str) -> tuple[list[Answer], list[StoredDecision]]:
    """The agent's answers, and the decisions on what it did."""
    with _store(folder) as store:
        newest = last_id(store)
    with serving(server, folder, "shadow") as address, Agent(address) as agent:
        answers = list(agent.run())
    refused = [answer for answer in answers if answer.status >= 400]
    if refused:
        raise SystemExit(f"shadow let something fail: {refused[0]}")
    with _store(folder) as store:
        return answers, store.decisions(1_000, after=newest)


def enforced(folder: Path, server: str) -> None:
    """Print the refusals, then what becomes of one that a person approves."""
    with serving(server, folder, "enforce") as address, Agent(address) as agent:
        answers = [answer for answer in agent.run() if answer.problem]
        for answer in answers:
            _print(answer)
        held = next(answer for answer in answers if answer.problem == "approval-required")
        click.echo(
            f"\nThe agent asks for {held.content['review_url']}: {agent.review(held)}. {REVIEWER.title()} looks:"
        )
        words = ("supervisor_guards", "approve", held.action_id, "--as", REVIEWER)
        click.echo(f"  manage.py {shlex.join(words)}")
        manage(folder, *words)
        click.echo(f"Now it is {agent.review(held)}, and the same request passes with it, once:")
        for _ in range(2):
            _print(agent.send(held.task, approval=held.action_id), f"  {APPROVAL_HEADER}: {held.action_id[:8]}...")


@contextmanager
def _store(folder: Path) -> Iterator[Any]:
    """The log in `folder`, as another process would open it."""
    with closing(EmbeddedSupervisor.from_config(GuardConfig(policy=str(POLICY), state_dir=str(folder)))) as supervisor:
        yield supervisor.store


def _print(answer: Answer, with_header: str = "") -> None:
    task, said = answer.task, answer.content
    text = f"{answer.problem} ({said['action']})" if answer.problem else said
    click.echo(f"  {answer.status}  {task.method} {task.path}{with_header}  {text}")


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "gthread"
    if chosen not in SERVERS:
        raise SystemExit(f"{chosen!r} is no server of this demo; choose one of {', '.join(SERVERS)}")
    main(Path(FOLDER), chosen)
