"""Tasks run with the context they were sent in, on real workers of each kind of pool."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import GuardConfig, approved, observing
from supervisor_guards.celery import HEADER
from supervisor_guards.context import current_context
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.parts import open_store
from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.web import RequestFacts, User, serving
from tests.celery_app import make_app
from tests.engine import POLICY

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0
"""Seconds until a worker that doesn't answer is a failure."""

SHADOW = {"SUPERVISOR_ENFORCEMENT_MODE": "shadow", "SUPERVISOR_AUDIT": "async"}
ADA = RequestFacts("POST", "POST /refunds", user=User("ada", tenant="acme"))
EVE = RequestFacts("POST", "POST /refunds", user=User("eve", tenant="acme"))


class Worker:
    """A worker that runs, and the application that sends to it."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process
        self.app = make_app(folder)

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        return self.app.tasks[name].apply_async(args, **options)

    def run(self, name: str, *args: Any, **options: Any) -> Any:
        """What the task returned; raises what it raised."""
        return wait(self.send(name, *args, **options))

    def rows(self, order_id: str) -> list[StoredDecision]:
        """The decisions on refunds of `order_id`, oldest first."""
        with self.store() as store:
            return [
                row for row in store.decisions(limit=1_000)[::-1] if json.loads(row.payload).get("order_id") == order_id
            ]

    def approve(self, action_id: str) -> None:
        with self.store() as store:
            ReviewDesk(store).resolve(action_id, "approved", None, Principal("dana"))

    @contextlib.contextmanager
    def store(self) -> Iterator[Any]:
        with contextlib.closing(open_store(GuardConfig(state_dir=str(self.folder / ".supervisor")))) as store:
            yield store

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        """End the worker as its operator does; a task in progress is finished."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the worker was killed:\n{self.log()}") from None


def refusal(worker: Worker, amount: int, order_id: str) -> str:
    """What the worker refused the task with. Celery's results keep an exception's name and its text."""
    with pytest.raises(Exception, match=r"supervisor_guards\.errors") as caught:
        worker.run("refund", order_id, amount)
    return str(caught.value)


def held(worker: Worker, amount: int, order_id: str) -> str:
    """The id of the action that waits for a person now."""
    text = refusal(worker, amount, order_id)
    assert "SupervisorReviewPending" in text
    return re.findall(r"\[action ([\w-]+)\]", text)[0]


def context(row: StoredDecision) -> Any:
    return json.loads(row.context) if row.context is not None else None


def wait(sent: Any) -> Any:
    return sent.get(timeout=PATIENCE, interval=0.02)


@contextlib.contextmanager
def working(pool: str, folder: Path, **settings: str) -> Iterator[Worker]:
    """A worker with that pool, and two to work in it."""
    (folder / "supervisor.yaml").write_text(POLICY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    environment |= {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "integrations"))),
        "SUPERVISOR_ENFORCEMENT_MODE": "enforce",
        "SUPERVISOR_ON_REVIEW": "fail_closed",
        "SUPERVISOR_AUDIT": "sync",
        **settings,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.celery_app", str(folder), pool],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    worker = Worker(folder, process)
    try:
        yield worker
    finally:
        if process.poll() is None:
            worker.stop()


@pytest.fixture(scope="module", params=["solo", "threads", "prefork"])
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of each kind, shared by the module."""
    with working(request.param, tmp_path_factory.mktemp(request.param)) as one:
        yield one


def test_a_task_records_who_asked_for_it_and_why(worker: Worker) -> None:
    with serving(ADA), observing(goal="the lamp is broken", user_id="said-so"):
        assert worker.run("refund", "A-1", 20) == "refunded 20 on A-1"
    (row,) = worker.rows("A-1")
    assert context(row) == {"goal": "the lamp is broken", "user_id": "said-so"}
    assert (row.subject, row.route, row.tenant) == ("ada", "POST /refunds", "acme")


def test_nobody_becomes_somebody_by_what_is_only_said(worker: Worker) -> None:
    """Neither a context nor a header that the caller of `apply_async` chose says who acts."""
    with observing(subject="ada", facts={"subject": "ada"}, route="POST /refunds"):
        worker.run("refund", "A-2", 20)
    claim = '{"version": 1, "facts": {"subject": "ada"}}'
    worker.run("refund", "A-2", 21, headers={HEADER: claim})
    with serving(EVE):
        worker.run("refund", "A-2", 22, headers={HEADER: claim})
    rows = worker.rows("A-2")
    assert [row.subject for row in rows] == [None, None, "eve"]
    assert context(rows[0]) == {"subject": "ada", "facts": {"subject": "ada"}, "route": "POST /refunds"}
    assert context(rows[1]) is None


def test_a_task_leaves_nothing_to_the_next(worker: Worker) -> None:
    """However the first one ended, and with more tasks than there are threads or processes."""
    with serving(ADA), observing(goal="first"), approved("no-such-approval"):
        earlier = [worker.send("careless", fails) for fails in (True, False) * 3]
    for number, sent in enumerate(earlier):
        with pytest.raises(LookupError) if number % 2 == 0 else contextlib.nullcontext():
            wait(sent)
    later = [worker.send("refund", "A-3", amount) for amount in range(6)]
    assert [wait(sent) for sent in later] == [f"refunded {amount} on A-3" for amount in range(6)]
    rows = worker.rows("A-3")
    assert [(context(row), row.subject, row.route) for row in rows] == [(None, None, None)] * 6
    held(worker, 5_000, "A-3")  # an approval that was left would refuse it otherwise


def test_each_run_of_a_retried_task_is_a_decision_with_the_same_context(worker: Worker) -> None:
    with serving(ADA), observing(goal="try"):
        assert worker.run("again", "A-4") == "third time lucky"
    rows = worker.rows("A-4")
    assert [context(row) for row in rows] == [{"goal": "try", "attempt": attempt} for attempt in range(3)]
    assert len({row.action_id for row in rows}) == 3
    assert {row.subject for row in rows} == {"ada"}


def test_what_a_task_sends_goes_on_with_its_context(worker: Worker) -> None:
    with serving(ADA), observing(goal="both"):
        first = worker.app.tasks["first"].s("A-5") | worker.app.tasks["second"].s()
        sent = first.apply_async()
    wait(sent)
    (row,) = worker.rows("A-5-second")
    assert (row.subject, context(row)) == ("ada", {"goal": "both"})


def test_a_review_in_a_worker_is_approved_for_who_asked(worker: Worker) -> None:
    """Held, approved, sent again: for the same sender, tenant, route and content, and once."""
    with serving(ADA):
        action_id = held(worker, 5_000, "A-6")
    worker.approve(action_id)
    tries: list[tuple[RequestFacts, int, str]] = [
        (EVE, 5_000, "other-subject"),
        (RequestFacts("POST", "POST /refunds", user=User("ada", tenant="other")), 5_000, "other-tenant"),
        (RequestFacts("POST", "POST /else", user=User("ada", tenant="acme")), 5_000, "other-route"),
        (ADA, 5_001, "other-content"),
    ]
    for facts, amount, reason in tries:
        with serving(facts), approved(action_id):
            assert reason in refusal(worker, amount, "A-6")
    with serving(ADA), approved(action_id):
        assert worker.run("refund", "A-6", 5_000) == "refunded 5000 on A-6"
    with serving(ADA), approved(action_id):
        assert "ApprovalUsed" in refusal(worker, 5_000, "A-6")


def test_outside_a_request_an_approval_is_redeemed_by_its_content(worker: Worker) -> None:
    """A job that sends the task again when the person has approved serves no request."""
    with serving(ADA):
        action_id = held(worker, 5_000, "A-7")
    worker.approve(action_id)
    with approved(action_id):
        assert worker.run("refund", "A-7", 5_000) == "refunded 5000 on A-7"


def test_a_denied_task_says_so_to_who_waits_for_it(worker: Worker) -> None:
    assert "amount-exceeds-hard-cap" in refusal(worker, 20_000, "A-8")
    assert [row.outcome for row in worker.rows("A-8")] == ["deny"]


def test_a_header_that_can_t_be_read_gives_nothing(worker: Worker) -> None:
    """A sender without `carry_context` may write anything; the task runs, as nobody in particular."""
    other = type(worker.app)(broker="filesystem://", backend=worker.app.conf.result_backend, set_as_current=False)
    for name in ("broker_transport", "broker_transport_options"):
        setattr(other.conf, name, getattr(worker.app.conf, name))
    for header in ('{"version": 2, "facts": {"subject": "ada"}}', "ada", {"facts": {"subject": "ada"}}, 7):
        with other.connection_for_write() as connection:
            task_id = f"by-hand-{type(header).__name__}-{len(str(header))}"
            with connection.Producer() as producer:
                producer.publish(
                    [["A-9", 1], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
                    headers={"task": "refund", "id": task_id, "lang": "py", HEADER: header},
                    correlation_id=task_id, exchange="", routing_key="celery", serializer="json",
                )  # fmt: skip
        assert wait(other.AsyncResult(task_id)) == "refunded 1 on A-9"
    assert [row.subject for row in worker.rows("A-9")] == [None] * 4
    assert "runs without the context it was sent with" in worker.log()


def test_tasks_of_two_threads_have_a_context_each(tmp_path: Path) -> None:
    with working("threads", tmp_path) as worker:
        sent = []
        for name, facts in (("A-10", ADA), ("A-11", EVE)):
            with serving(facts), observing(goal=name):
                sent.append(worker.send("meet", name))
        assert [wait(one) for one in sent] == ["refunded 2 on A-10", "refunded 2 on A-11"]
        for name, subject in (("A-10", "ada"), ("A-11", "eve")):
            found = [(row.subject, context(row)) for row in worker.rows(name)]
            assert found == [(subject, {"goal": name, "inside": name})] * 2


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_that_ends_stores_what_it_decided(pool: str, tmp_path: Path) -> None:
    """It is told to end while the task runs; what it then observes in shadow is still recorded."""
    started, released = tmp_path / "started", tmp_path / "released"
    os.mkfifo(started)
    os.mkfifo(released)
    with working(pool, tmp_path, **SHADOW) as worker:
        worker.send("note", str(started), str(released), "A-12")
        started.read_text()  # returns once the task has written
        worker.process.send_signal(signal.SIGTERM)
        released.write_text("go")
        worker.stop()
        assert [row.outcome for row in worker.rows("A-12")] == ["allow"]


def test_a_child_that_is_replaced_stores_what_it_decided(tmp_path: Path) -> None:
    """A process of the pool may end after each task; Celery ends it without `atexit`."""
    with working("prefork", tmp_path, CELERY_TASKS_PER_CHILD="1", **SHADOW) as worker:
        for amount in range(6):
            worker.run("refund", "A-13", amount)
        worker.stop()
        rows = worker.rows("A-13")
        assert sorted(json.loads(row.payload)["amount"] for row in rows) == list(range(6))
        assert {row.result for row in rows} == {"returned"}


def test_an_eager_task_is_a_call_in_its_caller_s_context(tmp_path: Path) -> None:
    """It sees what the caller set; what it sets itself ends with it, though no broker lies between."""
    app = make_app(tmp_path)
    for settings in ({"task_always_eager": True}, {"task_always_eager": True, "task_eager_propagates": True}):
        app.conf.update(settings)
        with observing(goal="eager"):
            for fails in (True, False):
                with contextlib.suppress(LookupError):
                    app.tasks["careless"].apply_async((fails,)).get(disable_sync_subtasks=False)
                assert current_context() == {"goal": "eager"}
            assert app.tasks["look"].delay().get(disable_sync_subtasks=False) == {"goal": "eager"}
        assert current_context() is None
