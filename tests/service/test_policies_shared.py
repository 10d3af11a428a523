"""Policies of several processes: a promotion is in force in all of them, and of racing ones one is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from supervisor_guards.policy.document import PolicyError
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.versions import read_one
from tests.service.policies import decision, document, new_action, stored
from tests.service.processes import ServiceProcess
from tests.service.serving import ADMIN, PATIENCE, Caller, serving, two_processes, until


def test_every_process_judges_by_what_another_promoted(service_url: str, tmp_path: Path) -> None:
    """Two servers, processes of their own, with a policy file that both take in at the start."""
    action = new_action()
    path = tmp_path / "limits.yaml"
    path.write_text(document(action))
    with ExitStack() as stack:
        one, other = (ServiceProcess(service_url, tmp_path, SUPERVISOR_POLICY=str(path)) for _ in range(2))
        stack.callback(one.close)
        stack.callback(other.close)
        admin = stack.enter_context(
            httpx.Client(base_url=one.base_url, headers=ADMIN, trust_env=False, timeout=PATIENCE)
        )
        caller = Caller(admin.post("/v1/integrations", json={"name": "shop"}).raise_for_status().json())
        here, there = (stack.enter_context(caller.client(process.base_url)) for process in (one, other))
        assert [decision(http, action, 101)["decision"] for http in (here, there)] == ["deny", "deny"]
        made = stored(admin, document(action, 2, cap=200), promote=True)
        assert made["retired"] == [f"{action}.base@v1"]
        assert decision(here, action, 101)["decision"] == "allow"
        until(lambda: decision(there, action, 101)["policy_version"] == f"{action}.base@v2")
        admin.post(f"/v1/policies/{made['id']}/deactivate").raise_for_status()
        until(lambda: decision(there, action, 101)["reasons"] == ["no-policy"])


def test_of_racing_promotions_one_is_in_force(service_url: str, tmp_path: Path) -> None:
    """Versions that share action types in a ring, promoted by two processes at once."""
    with two_processes(service_url, tmp_path / "state") as processes, ThreadPoolExecutor(8) as pool:
        versions = processes[0].service.versions
        names = [new_action() for _ in range(4)]
        made = [
            versions.create(read_one(document(f"[{one}, {two}]", name=f"{one}-{two}")), "tests").policy
            for one, two in zip(names, [*names[1:], names[0]], strict=True)
        ]

        def promote(number: int) -> None:
            processes[number % 2].service.versions.promote(made[number % len(made)].id, "tests")

        for _ in range(5):
            list(pool.map(promote, range(16)))
            active = {one.id: json.loads(one.action_types) for one in versions.list(100, active=True)}
            claimed = [name for actions in active.values() for name in actions]
            assert len(claimed) == len(set(claimed))
            assert active.keys() & {one.id for one in made}
        for running in processes:
            until(lambda policies=running.service.policies: {one.id for one in policies.in_force} == active.keys())


def test_a_policy_file_is_taken_in_once_by_all_that_start_with_it(service_url: str, tmp_path: Path) -> None:
    first, second = new_action(), new_action()
    path = tmp_path / "limits.yaml"
    path.write_text(document(first) + "---\n" + document(second, cap=5))
    with ThreadPoolExecutor(6) as pool:
        services = list(pool.map(lambda _: _opened(service_url, tmp_path, path), range(6)))
        try:
            list(pool.map(Service.take_in_policy, services))
            for service in services:
                service.policies.refresh()
                assert [one.name for one in service.policies.in_force] == sorted([f"{first}.base", f"{second}.base"])
            found = services[0].versions.list(10)
            assert {one.created_by for one in found} == {"start of the service"}
            assert len(found) == 2
            assert services[0].versions.get(found[0].id).source in (document(first), document(second, cap=5))
        finally:
            for service in services:
                service.close()


def test_a_version_that_was_retired_stays_so_at_the_next_start(
    service_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    action = new_action()
    path = tmp_path / "limits.yaml"
    path.write_text(document(action))
    for _ in range(2):
        service = _opened(service_url, tmp_path, path)
        service.take_in_policy()
        service.versions.create(read_one(document(action, 2)), "tests", promote=True)
        service.policies.refresh()
        assert [one.version for one in service.policies.in_force] == ["2"]
        service.close()
    assert f"{action}.base@v1 of {path} is stored, and not in force" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nversion: 1\nrules:\n  - {id: x, when: open(), action: deny}\n  - {id: y}\n", [":4:", ":5:"]),
        (document("kept", cap=7), [":2: kept.base@v1 is stored already, with other text", "raise the version"]),
        (document("a", more="tests:\n  - {payload: {amount: 1}, expect: deny}\n"), [":12: a.base@v1, test 1"]),
        (document("a") + "---\n" + document("a", 2), ["action 'a' belongs to a.base@v1 already"]),
        (document("a", name="n" * 201), [":2: the name 'nnn"]),
    ],
)  # fmt: skip
def test_a_policy_file_that_cannot_be_used_stops_the_start(
    service_url: str, tmp_path: Path, text: str, said: list[str]
) -> None:
    path = tmp_path / "limits.yaml"
    service = _opened(service_url, tmp_path, path)
    try:
        service.versions.create(read_one(document("kept")), "tests", promote=True)
        path.write_text(f"{text}---\n{document('fresh')}")
        with pytest.raises(PolicyError) as refused:
            service.take_in_policy()
        told = "\n".join(refused.value.problems)
        assert all(one in told for one in said)
        assert str(path) in told
        assert [one.name for one in service.versions.list(10)] == ["kept.base"], "all documents or none"
    finally:
        service.close()


def test_serve_says_every_fault_of_the_policy_file_and_ends(tmp_path: Path) -> None:
    (tmp_path / "supervisor.yaml").write_text(
        "name: a\nversion: 1\nrules:\n  - {id: x, when: open(), action: deny}\n  - 7\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    command = [sys.executable, "-m", "supervisor_guards.cli", "serve"]
    ended = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert [f"{tmp_path}/supervisor.yaml:{line}: rule" in text for line, text in zip((4, 5), lines, strict=True)] == [
        True, True,
    ]  # fmt: skip


def test_where_only_drafts_were_stored_shadow_is_still_judged_by_the_starter(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state", policy=None) as running, running.admin() as admin:
        caller = running.integration()
        with caller.client(running.base_url) as http:
            made = stored(admin, document("refund"))
            shadow = {"action_type": "refund", "payload": {"amount": 1}, "shadow": True}

            def version() -> str:
                told = http.post("/v1/actions/evaluate", json=shadow).raise_for_status().json()
                return str(told["policy_version"])

            assert version() == "refund.starter@v1"
            admin.post(f"/v1/policies/{made['id']}/promote").raise_for_status()
            assert version() == "refund.base@v1"
            admin.post(f"/v1/policies/{made['id']}/deactivate").raise_for_status()
            assert version() == ""


def _opened(url: str, folder: Path, policy: Path) -> Service:
    values = {"database_url": url, "state_dir": str(folder / "state"), "policy": str(policy)}
    return Service(ServiceConfig.load({}, **values))
