"""Versions of policies in the database: taken in, promoted, retired; each act is in the record.

A version's text never changes. Of all versions that claim an action type one is in force at most.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Connection, and_, insert, or_, select, tuple_, update

from supervisor_guards.embedded.rows import Event, clean_text, now_us
from supervisor_guards.embedded.store import Store
from supervisor_guards.policy.document import PolicyError, load_policies, read_policies
from supervisor_guards.policy.engine import Policy, PolicySet, run_tests
from supervisor_guards.service import wakeups
from supervisor_guards.service.acts import act
from supervisor_guards.service.policies import IN_FORCE, StoredPolicy
from supervisor_guards.service.schema import policies as table
from supervisor_guards.service.schema import policy_actions

logger = logging.getLogger("supervisor_guards")

__all__ = ["Change", "PolicyNotFound", "VersionTaken", "Versions", "read_one"]

MAX_NAME = 200
MAX_ACTION_TYPES = 500
MAX_ACTION_TYPE = 512
_AT_START = "start of the service"

Note = Callable[[Event], None]


class VersionTaken(ValueError):
    """The name and version are those of a document of other text."""


class PolicyNotFound(LookupError):
    """There is no version with this id."""


class Change(msgspec.Struct, frozen=True):
    """What became of a version. `retired` are the labels of those that it took the place of, and `uncovered` the
    action types that no version judges any more."""

    policy: StoredPolicy
    made: bool = False
    """Whether it was stored now; else it was there."""
    retired: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()


class Versions:
    """The policies of a service, those in force and all others."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, policy: Policy, by: str, *, promote: bool = False) -> Change:
        """Store a document, and put it in force if `promote`. One that is there with the same text stays as it is.

        Raises `VersionTaken`, and `PolicyError` where it can't be stored, or promoted for its own tests' sake.
        """
        faults = _faults(policy) or (failures_of([policy]) if promote else [])
        if faults:
            raise PolicyError(faults)

        def work(held: Connection, note: Note) -> Change:
            found, made = _stored(held, note, policy, by)
            return (
                msgspec.structs.replace(_promoted(held, note, found, by), made=made) if promote else Change(found, made)
            )

        return self._store.transact(work)

    def take_in(self, path: Path) -> list[StoredPolicy]:
        """Store the documents of a policy file or folder, and promote those that are new; all of them, or none.

        Several processes may do so at once. Those that are not in force afterwards, because they were retired or
        only stored before. Raises `PolicyError` with every fault: of the files, of their tests, and of versions that
        have another text in the database.
        """
        read = load_policies(path).policies
        faults = [f"{one.file}:{one.line}: {fault}" for one in read for fault in _faults(one)] or failures_of(read)
        if faults:
            raise PolicyError(faults)

        def work(held: Connection, note: Note) -> list[StoredPolicy]:
            taken: list[str] = []
            kept: list[StoredPolicy] = []
            for policy in read:
                try:
                    found, made = _stored(held, note, policy, _AT_START)
                except VersionTaken as error:
                    taken.append(f"{policy.file}:{policy.line}: {error}")
                    continue
                if made:
                    _promoted(held, note, found, _AT_START)
                elif not found.active:
                    kept.append(found)
            if taken:
                raise PolicyError(taken)
            return kept

        return self._store.transact(work)

    def promote(self, policy_id: str, by: str) -> Change:
        """Put a version in force, in the place of every one that shares an action type with it, at once.

        Raises `PolicyNotFound`, and `PolicyError` with the tests of the document that fail.
        """
        failures = failures_of([self.get(policy_id).compiled()])
        if failures:
            raise PolicyError(failures)
        return self._store.transact(lambda held, note: _promoted(held, note, _found(held, policy_id), by))

    def deactivate(self, policy_id: str, by: str) -> Change:
        """Take a version out of force, with nothing in its place. Raises `PolicyNotFound`."""

        def work(held: Connection, note: Note) -> Change:
            found = _found(held, policy_id)
            if not found.active:
                return Change(found)
            _retire(held, [found.id])
            note(act("policy", found.label, by, "taken out of force"))
            wakeups.tell(held, wakeups.POLICIES)
            return Change(_found(held, policy_id), uncovered=_uncovered(held, json.loads(found.action_types)))

        return self._store.transact(work)

    def get(self, policy_id: str) -> StoredPolicy:
        """The version with this id. Raises `PolicyNotFound`."""
        with self._store.reading() as held:
            return _found(held, policy_id)

    def in_force_for(self, action_types: Sequence[str]) -> StoredPolicy | None:
        """The version in force for the first of `action_types` that has one."""
        with self._store.reading() as held:
            for name in action_types:
                chosen = select(policy_actions.c.policy_id).where(IN_FORCE, policy_actions.c.action_type == name)
                found = held.execute(chosen).scalar()
                if found is not None:
                    return _found(held, found)
        return None

    def list(
        self,
        limit: int,
        *,
        action_type: str | None = None,
        active: bool | None = None,
        before: tuple[int, str] | None = None,
    ) -> list[StoredPolicy]:
        """A page of versions, newest first, without their text. `before`: the last one's `created_at` and `id`."""
        columns = [column for column in table.c if column.name != "source"]
        query = select(*columns).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
        if action_type is not None:
            claims = policy_actions.c.action_type == clean_text(action_type)
            query = query.where(table.c.id.in_(select(policy_actions.c.policy_id).where(claims)))
        if active:
            query = query.where(table.c.id.in_(select(policy_actions.c.policy_id).where(IN_FORCE)))
        elif active is not None:
            query = query.where(or_(table.c.promoted_at.is_(None), table.c.retired_at.is_not(None)))
        if before is not None:
            query = query.where(tuple_(table.c.created_at, table.c.id) < (before[0], clean_text(before[1])))
        with self._store.reading() as held:
            return [StoredPolicy(**row, source="") for row in held.execute(query).mappings()]


def _faults(policy: Policy) -> list[str]:
    """Why no version can be made of a policy that can be read; empty where one can."""
    faults = []
    for what, value in (("name", policy.name), ("version", policy.version)):
        if len(value) > MAX_NAME or not value.isprintable():
            faults.append(f"the {what} {value[:40]!r} can't be stored: give 1 to {MAX_NAME} printable characters")
    if len(policy.actions) > MAX_ACTION_TYPES or not all(
        len(one) <= MAX_ACTION_TYPE and one.isprintable() for one in policy.actions
    ):
        faults.append(
            f"its action types can't be stored: give at most {MAX_ACTION_TYPES}, each of at most "
            f"{MAX_ACTION_TYPE} printable characters"
        )
    return faults


def failures_of(policies: Sequence[Policy]) -> list[str]:
    """The tests stored in the documents that fail."""
    return [str(failure) for failure in run_tests(PolicySet(policies))]


def read_one(text: str, file: str = "<policy>") -> Policy:
    """The policy of a text that holds one document. Raises `PolicyError`."""
    found = read_policies(text, file)
    if len(found) != 1:
        raise PolicyError(
            f"{file}:{found[1].line}: a version is one document, and this text holds {len(found)}; send each by itself"
        )
    return found[0]


# Within a transaction


def _stored(held: Connection, note: Note, policy: Policy, by: str) -> tuple[StoredPolicy, bool]:
    """The version of `policy`, and whether it was stored now. Raises `VersionTaken`."""
    label = and_(table.c.name == policy.name, table.c.version == policy.version)
    row = held.execute(select(table).where(label)).mappings().first()
    if row is not None:
        if row["hash"] != policy.hash:
            raise VersionTaken(
                f"{policy.label} is stored already, with other text: raise the version, since records name it"
            )
        return StoredPolicy(**row), False
    made = StoredPolicy(
        id=uuid.uuid4().hex,
        name=policy.name,
        version=policy.version,
        action_types=json.dumps(policy.actions),
        source=policy.source,
        hash=policy.hash,
        created_at=now_us(),
        created_by=by,
    )
    held.execute(insert(table).values(msgspec.structs.asdict(made)))
    claims = [{"action_type": name, "policy_id": made.id, "in_force": False} for name in policy.actions]
    held.execute(insert(policy_actions), claims)
    note(act("policy", made.label, by, f"stored; its text has the SHA-256 {made.hash}"))
    return made, True


def _promoted(held: Connection, note: Note, policy: StoredPolicy, by: str) -> Change:
    """Put it in force; writers wait for each other, so what is read here holds until the end."""
    if policy.active:
        return Change(policy)
    actions = json.loads(policy.action_types)
    shared = select(policy_actions.c.policy_id).where(IN_FORCE, policy_actions.c.action_type.in_(actions)).distinct()
    others = held.execute(
        select(table.c.id, table.c.name, table.c.version, table.c.action_types).where(table.c.id.in_(shared))
    ).all()
    _retire(held, [other.id for other in others])
    moment = {"promoted_at": now_us(), "retired_at": None}
    held.execute(update(table).where(table.c.id == policy.id).values(moment))
    held.execute(update(policy_actions).where(policy_actions.c.policy_id == policy.id).values(in_force=True))
    retired = tuple(sorted(f"{other.name}@v{other.version}" for other in others))
    left = sorted({name for other in others for name in json.loads(other.action_types)} - set(actions))
    note(act("policy", policy.label, by, f"promoted, in the place of {', '.join(retired) or 'none'}"))
    wakeups.tell(held, wakeups.POLICIES)
    return Change(_found(held, policy.id), retired=retired, uncovered=_uncovered(held, left))


def _retire(held: Connection, ids: Sequence[str]) -> None:
    held.execute(update(policy_actions).where(policy_actions.c.policy_id.in_(ids)).values(in_force=False))
    held.execute(update(table).where(table.c.id.in_(ids)).values(retired_at=now_us()))


def _uncovered(held: Connection, action_types: Sequence[str]) -> tuple[str, ...]:
    chosen = select(policy_actions.c.action_type).where(IN_FORCE, policy_actions.c.action_type.in_(action_types))
    return tuple(sorted(set(action_types) - set(held.execute(chosen).scalars())))


def _found(held: Connection, policy_id: str) -> StoredPolicy:
    row = held.execute(select(table).where(table.c.id == clean_text(policy_id))).mappings().first()
    if row is None:
        raise PolicyNotFound("policy not found")
    return StoredPolicy(**row)
