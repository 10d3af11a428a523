"""A Celery application whose broker and results are folders: `python -m tests.celery_app FOLDER POOL` is its worker."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from celery import Celery

from supervisor_guards import configure, observe, observing, supervised
from supervisor_guards.celery import carry_context
from supervisor_guards.context import current_context

_both = threading.Barrier(2)


def make_app(folder: Path) -> Celery:
    """The application and its tasks."""
    for name in ("queue", "control", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    app = Celery("tests", broker="filesystem://", backend=f"file://{folder / 'results'}", set_as_current=False)
    app.conf.update(
        broker_transport="tests.celery_broker:Transport",
        broker_transport_options={
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.02,
        },
        broker_connection_retry_on_startup=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=int(os.environ.get("CELERY_TASKS_PER_CHILD", "1000")),
    )
    carry_context()
    carry_context()  # which an application with several modules does

    @app.task(name="refund", shared=False)
    @supervised("refund")
    def refund(order_id: str, amount: int) -> str:
        return f"refunded {amount} on {order_id}"

    @app.task(name="careless", shared=False)
    def careless(fails: bool) -> None:
        observe(left_by="careless")
        if fails:
            raise LookupError("this task fails")

    @app.task(name="look", shared=False)
    def look() -> dict[str, Any] | None:
        return current_context()

    @app.task(name="again", bind=True, max_retries=2, shared=False)
    def again(self: Any, order_id: str) -> str:
        with observing(attempt=self.request.retries):
            refund(order_id, self.request.retries)
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return "third time lucky"

    @app.task(name="meet", shared=False)
    def meet(order_id: str) -> str:
        observe(inside=order_id)
        _both.wait(timeout=60)  # both tasks are in progress now
        refund(order_id, 1)
        return str(refund(order_id, 2))

    @app.task(name="first", shared=False)
    def first(order_id: str) -> str:
        refund(order_id, 1)
        return order_id

    @app.task(name="second", shared=False)
    def second(order_id: str) -> None:
        refund(f"{order_id}-second", 2)

    @app.task(name="note", shared=False)
    def note(started: str, released: str, order_id: str) -> None:
        Path(started).write_text("now")  # named pipes: each end waits for the other
        Path(released).read_text()
        refund(order_id, 1)

    return app


if __name__ == "__main__":
    where, pool = Path(sys.argv[1]), sys.argv[2]
    configure()
    options = ["--pool", pool, "--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    make_app(where).worker_main(["worker", "--loglevel", "INFO", *options])
