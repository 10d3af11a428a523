"""`kill -9` before and after every statement of creating, deciding and using up a review.

A child does one of them and kills itself at its n-th step, for each n until it gets to the end. Whatever the step:
no review is lost, nothing runs twice, nothing runs without an approval, and the record verifies.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from engine import POLICY

ROOT = Path(__file__).parents[1]

SCRIPT = r'''
import logging, os, signal, sys, warnings
from pathlib import Path
from sqlalchemy import Engine, event
logging.disable()
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks in processes with threads
from supervisor_guards import Guard, GuardConfig, SupervisorReviewPending, approved
from supervisor_guards.embedded import parts
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.store import Store
from supervisor_guards.errors import ApprovalUsed

url, folder, operation = sys.argv[1:4]
MOST = 200
answered, executed = Path(folder, "answered"), Path(folder, "executed")
config = GuardConfig.load(
    {}, database_url=url, state_dir=folder, policy=str(Path(folder, "supervisor.yaml")), enforcement_mode="enforce",
    default_on_review="fail_closed", review_window_seconds=0,
)


def note(file, text):
    with open(file, "a") as notes:
        notes.write(text + "\n")
        notes.flush()
        os.fsync(notes.fileno())


def noted(file):
    return file.read_text().splitlines() if file.exists() else []


def pay(amount):
    note(executed, str(amount))


def create(guard):
    decision = guard.check("refund", {"amount": 2000})
    assert isinstance(decision.error, SupervisorReviewPending), decision
    return decision.action_id


def resolve(store, action_id):
    ReviewDesk(store).resolve(action_id, "approved", "fine", Principal("bob"))


def redeem(guard, action_id):
    with approved(action_id):
        guard.require("refund", {"amount": 2000})
        pay(2000)


def steps(at):
    """Kill this process at the `at`-th thing that happens to its database."""
    left = [at]

    def step(*ignored, **more):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def connected(connection, record):
        if hasattr(connection, "set_trace_callback"):
            connection.set_trace_callback(step)

    event.listen(Engine, "connect", connected)
    for name in ("before_cursor_execute", "after_cursor_execute", "commit", "begin"):
        event.listen(Engine, name, step)


def in_child(at, work):
    """True if `work` came to its end before it was killed at step `at`."""
    pid = os.fork()
    if pid == 0:
        try:
            steps(at)
            work()
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(3)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), f"step {at}: the child ended with {code}"
    return code == 0


def child_creates():
    note(answered, create(Guard(config)))


def child_resolves(action_id):
    store = Store(url, sealer=parts.sealer(config))
    resolve(store, action_id)
    note(answered, action_id)


def check_created(store):
    for action_id in noted(answered):
        assert store.review(action_id).status == "pending"
    for row in store.decisions(limit=1000):
        assert store.review(row.action_id).status == "pending", "a decision and its review, both or none"
    assert len(store.reviews(limit=1000)) == len(store.decisions(limit=1000))


def check_resolved(store, action_id):
    status = store.review(action_id).status
    assert status in ("pending", "approved")
    if action_id in noted(answered):
        assert status == "approved", "the reviewer was told that it is approved"
    if status == "pending":
        resolve(store, action_id)


def check_redeemed(store, action_id, guard):
    ran = len(noted(executed))
    status = store.review(action_id).status
    assert status in ("approved", "used")
    assert ran == 0 or status == "used", "it ran, and could run again"
    assert ran <= 1
    try:
        redeem(guard, action_id)
    except ApprovalUsed:
        assert status == "used"
    else:
        assert status == "approved"
    assert len(noted(executed)) == (1 if status == "approved" else ran)
    executed.unlink(missing_ok=True)


def main():
    Store(url).close()
    for at in range(1, MOST):
        guard = Guard(config)
        action_id = create(guard) if operation != "create" else None
        store = guard.supervisor.store
        if operation == "redeem":
            resolve(store, action_id)
        guard.close()
        work = {
            "create": child_creates,
            "resolve": lambda: child_resolves(action_id),
            "redeem": lambda: redeem(Guard(config), action_id),
        }[operation]
        finished = in_child(at, work)
        guard = Guard(config)
        store = guard.supervisor.store
        if operation == "create":
            check_created(store)
        elif operation == "resolve":
            check_resolved(store, action_id)
        else:
            check_redeemed(store, action_id, guard)
        guard.flush()
        findings = store.verify([parts.sealer(config)]).findings
        assert findings == (), findings
        guard.close()
        if finished:
            print("steps", at - 1)
            return


main()
'''


def loop(tmp_path: Path, url: str, operation: str) -> int:
    """The number of steps at which the operation was killed."""
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, url, str(tmp_path), operation],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout.removeprefix("steps "))


def test_create(tmp_path: Path, store_url: str) -> None:
    assert loop(tmp_path, store_url, "create") >= 4


def test_resolve(tmp_path: Path, store_url: str) -> None:
    assert loop(tmp_path, store_url, "resolve") >= 4


def test_redeem(tmp_path: Path, store_url: str) -> None:
    assert loop(tmp_path, store_url, "redeem") >= 4
