"""The off-path worker: bounded, loses nothing it took, survives its handler, forks and the interpreter's end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from engine import FORK_IS_MEANT

from supervisor_guards._background import Worker


class Taker:
    """A handler that keeps what it got; while `hold` is clear, it waits."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.entered = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.fail = 0
        self.error: BaseException = OSError("disk full")

    def __call__(self, batch: Sequence[Any], final: bool) -> None:
        self.entered.set()
        assert self.hold.wait(60)
        if self.fail:
            self.fail -= 1
            raise self.error
        self.batches.append(list(batch))

    @property
    def items(self) -> list[Any]:
        return [item for batch in self.batches for item in batch]


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def worker_of(taker: Taker) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(**options: Any) -> Worker:
        made.append(Worker(taker, **{"interval": 0.001, **options}))
        return made[-1]

    yield make
    taker.hold.set()
    for worker in made:
        worker.close()


def test_no_thread_is_made_before_the_first_item(worker_of: Callable[..., Worker]) -> None:
    before = threading.active_count()
    worker = worker_of()
    assert threading.active_count() == before
    assert worker.put("a")
    assert threading.active_count() == before + 1


def test_items_arrive_once_and_in_order(worker_of: Callable[..., Worker], taker: Taker) -> None:
    worker = worker_of()
    for number in range(3_000):
        assert worker.put(number)
    assert worker.flush()
    assert taker.items == list(range(3_000))
    assert max(map(len, taker.batches)) <= 1_000
    assert (worker.waiting, worker.dropped) == (0, 0)


def held(worker: Worker, taker: Taker) -> None:
    """The worker's thread waits in its handler, with the queue empty behind it."""
    taker.hold.clear()
    taker.entered.clear()
    worker.put("first")
    assert taker.entered.wait(60)


@pytest.mark.parametrize(
    ("bounds", "size", "taken"), [({"capacity": 5}, 1, 5), ({"max_bytes": 100}, 30, 4)], ids=["items", "bytes"]
)
def test_a_full_queue_drops_and_counts(
    bounds: dict[str, int], size: int, taken: int, worker_of: Callable[..., Worker], taker: Taker
) -> None:
    worker = worker_of(**bounds)
    held(worker, taker)
    assert [worker.put(number, size) for number in range(8)] == [True] * taken + [False] * (8 - taken)
    assert not worker.offer("offered", size)
    assert worker.dropped == 8 - taken
    taker.hold.set()
    assert worker.flush()
    assert taker.items == ["first", *range(taken)]
    assert worker.put("later", size)


def test_a_failing_handler_costs_its_batch_and_no_more(
    worker_of: Callable[..., Worker], taker: Taker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of()
    taker.fail = 1
    worker.put("lost")
    assert worker.flush()
    worker.put("kept")
    assert worker.flush()
    assert (taker.items, worker.dropped) == (["kept"], 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_followed_by_another(worker_of: Callable[..., Worker], taker: Taker) -> None:
    worker = worker_of()
    taker.fail, taker.error = 1, SystemExit()
    taker.hold.clear()
    before = set(threading.enumerate())
    worker.put("lost")
    assert taker.entered.wait(60)
    (thread,) = set(threading.enumerate()) - before
    taker.hold.set()
    thread.join(60)
    worker.put("kept")
    assert worker.flush()
    assert (taker.items, worker.dropped) == (["kept"], 1)


def test_flush_says_when_time_ran_out(worker_of: Callable[..., Worker], taker: Taker) -> None:
    worker = worker_of()
    held(worker, taker)
    assert not worker.flush(0.01)
    taker.hold.set()
    assert worker.flush()


def test_close_handles_what_waits_and_a_late_put_is_handled_at_once(
    worker_of: Callable[..., Worker], taker: Taker
) -> None:
    worker = worker_of()
    held(worker, taker)
    worker.put("second")
    taker.hold.set()
    assert worker.close()
    assert taker.items == ["first", "second"]
    worker.put("late")
    assert taker.items == ["first", "second", "late"]
    assert worker.close()


def test_close_gives_up_on_a_store_that_does_not_answer(
    worker_of: Callable[..., Worker], taker: Taker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of()
    held(worker, taker)
    worker.put("second")
    assert not worker.close(0.01)
    assert "1 decisions were not recorded" in caplog.text
    assert not worker.close(0.01)  # a process that ends may ask twice, and must end
    worker.put("third")  # nor does a caller hang that goes on afterwards
    assert not worker.flush(0.01)


def test_inline_handles_in_the_caller_and_a_handler_may_put_again(taker: Taker) -> None:
    def handle(batch: Sequence[Any], final: bool) -> None:
        if batch[0] == "outer":
            worker.put("inner")
        taker(batch, final)

    worker = Worker(handle, inline=True)
    worker.put("outer")
    assert sorted(taker.items) == ["inner", "outer"]
    worker.close()


def in_python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", FORK_IS_MEANT, "-c", textwrap.dedent(script)],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )


ENDINGS = {
    "end": "worker.put('a'); worker.put('b')",
    "atexit": "import atexit; atexit.register(lambda: worker.put('b')); worker.put('a')",
    "atexit, registered before": "worker.put('a')",
    "exception": "worker.put('a'); worker.put('b'); raise SystemExit(3)",
    "multiprocessing": """
import multiprocessing
def child():
    worker.put('a'); worker.put('b')
process = multiprocessing.get_context('fork').Process(target=child)
process.start(); process.join()
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_put_is_handled_before_the_process_ends(ending: str, tmp_path: Path) -> None:
    head = """
import atexit, os
late = []
atexit.register(lambda: [worker.put(item) for item in late])
from supervisor_guards._background import Worker
def handle(batch, final):
    with open('handled', 'a') as file:
        file.writelines(f'{item}\\n' for item in batch)
worker = Worker(handle, interval=60)
"""
    if "before" in ending:
        head += "late.append('b')\n"
    done = in_python(head + ENDINGS[ending], tmp_path)
    assert done.stderr == ""
    assert (tmp_path / "handled").read_text().split() == ["a", "b"]


FORK = """
import os
from supervisor_guards._background import Worker
def handle(batch, final):
    with open(f'handled-{os.getpid() == parent}', 'a') as file:
        file.writelines(f'{item}\\n' for item in batch)
parent = os.getpid()
worker = Worker(handle, interval=60)
worker.put('before')
pid = os.fork()
worker.put('parent' if pid else 'child')
assert worker.flush()
if not pid:
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_a_forked_child_starts_with_an_empty_queue_and_a_thread_of_its_own(tmp_path: Path) -> None:
    done = in_python(FORK, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "handled-True").read_text().split() == ["before", "parent"]
    assert (tmp_path / "handled-False").read_text().split() == ["child"]


def test_each_kind_of_loss_is_logged_when_it_begins(
    worker_of: Callable[..., Worker], taker: Taker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = worker_of(capacity=2)
    held(worker, taker)
    for number in range(9):
        worker.put(number)
    taker.hold.set()
    assert worker.flush()
    taker.fail = 3
    for number in range(3):
        worker.put(number)
        assert worker.flush()
    assert worker.dropped == 7 + 3
    assert ["queue was full" in line for line in caplog.messages] == [True, False]
    assert "7 decisions" in caplog.messages[0]
    worker.put("mended")
    assert worker.flush()
    taker.fail = 1
    worker.put("again")
    assert worker.flush()
    assert len(caplog.messages) == 3
