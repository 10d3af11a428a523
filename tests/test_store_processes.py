"""Several processes at one store: none fails, none loses a row, a fork shares nothing it must not."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from supervisor_guards.embedded.store import Store

ROOT = Path(__file__).parents[1]

PRELUDE = """
import os, signal, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks in processes with threads
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store
from supervisor_guards.embedded.transitions import Claim
url, number = sys.argv[1:3]

def row(name, **changes):
    return DecisionRow(**{**dict(action_id=name, time=1_800_000_000_000_000, action_type="refund",
        mode="shadow", enforced=False, outcome="allow", would_have="deny", digest="d", latency_us=7), **changes})

def children(count, work):
    # All of them wait for the closing of one pipe, so that they start at once.
    read, write = os.pipe()
    started = []
    for child in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(write)
            os.read(read, 1)
            try:
                work(child)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        started.append(pid)
    os.close(read)
    os.close(write)
    return sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in started)
"""


def start(script: str, url: str, number: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script), url, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_four_processes_write_one_store_and_lose_nothing(store_url: str) -> None:
    script = """
    store = Store(url)
    print("ready", flush=True)
    sys.stdin.readline()
    for batch in range(8):
        store.write([row(f"{number}-{batch}-{item}") for item in range(40)], [(f"{number}-{batch}-0", "returned")])
        store.write_with_review(row(f"{number}-{batch}-review"), 2_000_000_000_000_000)
    store.close()
    """
    writers = [start(script, store_url, number) for number in range(4)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    endings = [writer.communicate() for writer in writers]
    assert [stderr for _, stderr in endings] == [""] * 4
    assert [writer.returncode for writer in writers] == [0] * 4
    store = Store(store_url)
    rows = store.decisions(limit=10_000)
    assert len({row.action_id for row in rows}) == 4 * 8 * 41
    assert sum(row.result == "returned" for row in rows) == 4 * 8
    assert len(store.reviews(limit=1000)) == 4 * 8
    assert store.totals(0, by=())[0].would_block == len(rows)
    assert store.latency(0).count == len(rows)
    store.close()


def test_a_follower_misses_no_row_of_several_writers(store_url: str) -> None:
    script = """
    def work(child):
        mine = Store(url)
        for batch in range(20):
            mine.write([row(f"{child}-{batch}-{item}") for item in range(3)])
        mine.close()
    store = Store(url)
    sys.exit(children(3, work))
    """
    store = Store(store_url)
    writers = start(script, store_url)
    followed: list[str] = []
    cursor = 0
    while len(followed) < 3 * 20 * 3:
        running = writers.poll() is None
        page = store.decisions(limit=50, after=cursor)
        followed += [row.action_id for row in page]
        cursor = page[-1].id if page else cursor
        assert running or page, "the writers have ended, and rows are missing"
    assert writers.communicate()[1] == ""
    assert len(set(followed)) == len(followed) == 3 * 20 * 3
    store.close()


def test_24_processes_open_a_new_database_at_once(new_store_url: str) -> None:
    script = """
    import alembic.command, alembic.config  # before the fork, so that the children meet

    def work(child):
        store = Store(url)
        store.write([row(f"child-{child}")])
        store.close()
    sys.exit(children(24, work))
    """
    opening = start(script, new_store_url)
    assert opening.communicate()[1] == ""
    assert opening.returncode == 0
    store = Store(new_store_url)
    assert len(store.decisions(limit=100)) == 24
    assert store.totals(0, by=())[0].decisions == 24
    store.close()


def test_of_many_processes_one_redeems(store_url: str) -> None:
    script = """
    from supervisor_guards.errors import ApprovalUsed
    store = Store(url)
    store.write_with_review(row("a1", subject="s"), 3_000_000_000_000_000)
    store.resolve("a1", "approved", "bob")

    def work(child):
        try:
            store.redeem("a1", Claim("d", "s"))
        except ApprovalUsed:
            os._exit(0)
        os._exit(3)
    print(children(8, work))
    store.close()
    """
    racing = start(script, store_url)
    assert racing.communicate() == ("1\n", "")


def test_a_kill_after_write_finds_the_row(store_url: str) -> None:
    script = """
    store = Store(url)
    store.write([row("kept")])
    store.write_with_review(row("reviewed"), 3_000_000_000_000_000)
    store.resolve("reviewed", "approved", "bob")
    store.redeem("reviewed", Claim("d", None))
    os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = start(script, store_url)
    assert killed.communicate()[1] == ""
    assert killed.returncode == -signal.SIGKILL
    store = Store(store_url)
    assert [row.action_id for row in store.decisions()] == ["reviewed", "kept"]
    assert store.review("reviewed").status == "used"
    assert store.totals(0, by=())[0].decisions == 2
    store.close()


def test_parent_and_forked_children_write_on_connections_of_their_own(store_url: str) -> None:
    script = """
    store = Store(url)
    store.write([row("parent-before")])
    assert store.decisions()

    def work(child):
        for item in range(10):
            store.write([row(f"child-{child}-{item}")])
        assert store.decision("parent-before") is not None
        store.close()
    failed = children(3, work)
    store.write([row("parent-after")])
    print(failed, len(store.decisions(limit=100)))
    store.close()
    """
    forking = start(script, store_url)
    assert forking.communicate() == ("0 32\n", "")


def test_a_fork_while_another_thread_writes_does_not_hang_the_child(store_url: str) -> None:
    script = """
    import threading
    store = Store(url)
    stop = threading.Event()

    def writing():
        item = 0
        while not stop.is_set():
            store.write([row(f"thread-{item}")])
            store.decision("thread-0")
            item += 1
    thread = threading.Thread(target=writing)
    thread.start()
    failed = sum(children(1, lambda child: store.write([row(f"child-{round}")])) for round in range(10))
    stop.set()
    thread.join()
    print(failed, sum(store.decision(f"child-{round}") is not None for round in range(10)))
    store.close()
    """
    forking = start(script, store_url)
    assert forking.communicate() == ("0 10\n", "")


def test_a_child_keeps_its_rows_when_the_parent_is_gone(store_url: str) -> None:
    """As when a server turns itself into a daemon: SQLite lets the last to close remove the log."""
    script = """
    store = Store(url)
    store.write([row("parent")])
    read, write = os.pipe()
    if os.fork():
        os.close(read)
        store.close()
        os._exit(0)
    os.close(write)
    store.write([row("child-0")])
    os.read(read, 1)  # returns when the parent has ended
    other = Store(url)
    assert other.decision("child-0") is not None
    store.write([row("child-1")])
    assert other.decision("child-1") is not None
    other.close()
    os.kill(os.getpid(), signal.SIGKILL)
    """
    daemon = start(script, store_url)
    assert daemon.communicate()[1] == ""
    store = Store(store_url)
    assert [row.action_id for row in store.decisions()] == ["child-1", "child-0", "parent"]
    store.close()


def test_a_fork_without_hooks_is_refused_with_what_to_do(tmp_path: Path) -> None:
    script = """
    import _imp
    import ctypes
    store = Store(url)
    store.write([row("parent")])
    _imp.acquire_lock()  # PyOS_AfterFork_Child gives it back; CPython 3.13 aborts if nobody holds it
    pid = ctypes.PyDLL(None).fork()  # as a server written in C does, before it tells Python
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        try:
            store.write([row("child")])
        except Exception as error:
            print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(0)
    _imp.release_lock()
    os.waitpid(pid, 0)
    store.close()
    """
    forking = start(script, f"sqlite:///{tmp_path}/decisions.db")
    answer, complaint = forking.communicate()
    assert complaint == ""
    assert answer.startswith("StoreUnavailable: ")
    assert "open it after the fork" in answer
