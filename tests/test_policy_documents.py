"""Policy files: what loads, and every fault with file, line, rule and what to write instead."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import supervisor_guards.policy
from supervisor_guards.embedded.parts import STARTER
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.policy.document import PolicyError, load_policies, read_policies
from supervisor_guards.policy.engine import run_tests

GOOD = """\
name: refund.base
version: 1
action: refund
rules:
  - id: cap
    when: payload.amount > 100
    action: deny
    reason: too-much
"""


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as error:
        read_policies(text, "p.yaml")
    return list(error.value.problems)


def test_a_document() -> None:
    (policy,) = read_policies(GOOD, "p.yaml")

    assert (policy.name, policy.version, policy.label, policy.actions) == (
        "refund.base",
        "1",
        "refund.base@v1",
        ("refund",),
    )
    assert (policy.file, policy.line, policy.rules[0].line) == ("p.yaml", 1, 5)
    assert policy.rules[0].fields == {"payload.amount"}
    assert len(policy.hash) == 64


def test_a_published_file_loads_unchanged() -> None:
    text = """\
name: refund.base
version: 1
rules:
  - id: hard-cap
    when: "payload['amount'] > 10000"
    action: deny
    reason: amount-exceeds-hard-cap
    explanation: Over the cap.
  - id: long
    when: len(str(payload.get('prompt', ''))) > 50000
    action: review
    reason: long
    explanation: |
      Long
      prompt.
"""
    (policy,) = read_policies(text)

    assert policy.actions == ("refund",)
    assert policy.evaluate({"amount": 20000}).reasons == ("amount-exceeds-hard-cap",)


@pytest.mark.parametrize(
    ("version", "label"),
    [("2", "p@v2"), ("1.10", "p@v1.10"), ("'2026-01'", "p@v2026-01"), ("2026-01-31", "p@v2026-01-31"), ("b7", "p@vb7")],
)
def test_versions_are_shown_as_written(version: str, label: str) -> None:
    (policy,) = read_policies(GOOD.replace("refund.base", "p").replace("version: 1", f"version: {version}"))

    assert policy.label == label


def test_several_documents_and_several_actions() -> None:
    other = GOOD.replace("action: refund\n", "action: [payment, payout]\n").replace("refund.base", "pay")
    policies = read_policies(f"---\n{GOOD}---\n# a comment\n{other}---\n")

    assert [policy.actions for policy in policies] == [("refund",), ("payment", "payout")]
    assert policies[0].hash == read_policies(GOOD)[0].hash != policies[1].hash


def test_scalars_are_what_they_look_like() -> None:
    text = (
        GOOD + "tests:\n  - {payload: {country: NO, zip: '010', day: 2026-01-31, amount: 1e2, n: 010}, expect: allow}\n"
    )
    (policy,) = read_policies(text)

    assert policy.tests[0].payload == {"country": "NO", "zip": "010", "day": "2026-01-31", "amount": 100.0, "n": 10}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rules:", "rulez:", "p.yaml:4: unknown key 'rulez'; did you mean 'rules'?"),
        ("version: 1", "versoin: 1", "p.yaml:2: unknown key 'versoin'; did you mean 'version'?"),
        ("reason:", "reazon:", "p.yaml:8: rule 'cap': unknown key 'reazon'; did you mean 'reason'?"),
        ("reason:", "severity:", "p.yaml:8: rule 'cap': unknown key 'severity'; there are: id, when, action, "),
        ("action: deny", "action: block", "p.yaml:7: rule 'cap': `action` is 'block', not allow, review or deny; "),
        ("action: deny", "action: dney", "did you mean 'deny'?"),
        ("action: deny", "action: true", "`action` is True, not allow, review or deny; write allow, review, deny"),
        (
            "action: deny",
            "action: review\n    priority: urgnt",
            "p.yaml:8: rule 'cap': `priority` is 'urgnt', not low, normal, high or urgent; did you mean 'urgent'?",
        ),
        (
            "action: deny",
            "action: review\n    priority: 1",
            "`priority` is 1, not low, normal, high or urgent; write low",
        ),
        (
            "action: deny",
            "action: deny\n    priority: high",
            "p.yaml:8: rule 'cap': `priority` says how soon a person should look, and `action: deny` asks nobody; drop",
        ),
        ("action: deny", "action: allow\n    priority: low", "`action: allow` asks nobody; drop it"),
        ("action: deny", "action: review\n    priorty: low", "unknown key 'priorty'; did you mean 'priority'?"),
        ("    action: deny\n", "", "p.yaml:5: rule 'cap': a rule needs `action`; add it"),
        ("    when: payload.amount > 100\n", "", "rule 'cap': a rule needs `when`; add it"),
        ("name: refund.base\n", "", "p.yaml:1: a policy needs `name`; add it"),
        ("name: refund.base", "name: 5", "p.yaml:1: `name` must be text, not 5; write or quote it"),
        ("name: refund.base", "name: ''", "`name` must be text"),
        ("version: 1", "version:", "p.yaml:2: `version` must be a number or text"),
        ("version: 1", "version: [1]", "p.yaml:2: `version` must be a number or text"),
        ("action: refund", "action: []", "p.yaml:3: `action` must be an action type or a list of them"),
        ("action: refund", "action: [a, a]", "p.yaml:3: `action` lists an action type twice"),
        ("action: refund", "default: maybe", "p.yaml:3: `default` is 'maybe', not allow, review or deny"),
        ("payload.amount > 100", "amount > 100", "p.yaml:6: rule 'cap': `when`, column 1: amount is not known"),
        ("payload.amount > 100", "payload.a && b", "p.yaml:6: rule 'cap': `when`, column 12: write `and`"),
        (
            "payload.amount > 100",
            "|\n      payload.a\n      and amount > 5",
            "p.yaml:8: rule 'cap': `when`, column 5: ",
        ),
        ("payload.amount > 100", "5", "p.yaml:6: rule 'cap': `when` must be a condition"),
        ("payload.amount > 100", "''", "p.yaml:6: rule 'cap': `when`, column 1: the condition is empty"),
        (
            "  - id: cap",
            "  - id: cap\n    id: cap",
            "p.yaml:6: rule 'cap': the key 'id' stands twice (first in line 5)",
        ),
        ("version: 1", "version: 1\nversion: 2", "p.yaml:3: the key 'version' stands twice (first in line 2)"),
        ("version: 1", "version: &v 1\ndefault: *v", "p.yaml:3: the alias *v is not possible here"),
        ("version: 1", "version: 1\n1: 2", "p.yaml:3: a key must be text; quote it"),
        ("reason: too-much", "reason: !!python/name:os.system x", "p.yaml:8: the tag 'tag:yaml.org,2002:python/name:"),
        ("reason: too-much", "reason: !!int x", "p.yaml:8: 'x' is not a value of its tag"),
        ("reason: too-much", "reason: {a: b", "p.yaml:9: not valid YAML"),
        ("  - id: cap", "\t- id: cap", "p.yaml:5: not valid YAML"),
    ],
)
def test_faults_name_the_place_and_the_remedy(old: str, new: str, expected: str) -> None:
    assert old in GOOD

    found = problems(GOOD.replace(old, new, 1))

    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "p.yaml: holds no policy; write `name`"),
        ("# nothing\n", "p.yaml: holds no policy"),
        ("- a\n", "p.yaml:1: a policy must be an object with the keys name, version"),
        ("refund", "p.yaml:1: a policy must be an object"),
        ("name: p\nversion: 1\nrules: []\n", "p.yaml:3: `rules` must be a list with at least one rule"),
        ("name: p\nversion: 1\nrules:\n", "p.yaml:3: `rules` must be a list with at least one rule"),
        ("name: p\nversion: 1\nrules: {a: b}\n", "p.yaml:3: `rules` must be a list with at least one rule"),
        ("name: p\nversion: 1\nrules: [5]\n", "p.yaml:3: rule without id: a rule must be an object"),
        (GOOD + "tests: {}\n", "p.yaml:9: `tests` must be a list"),
        (GOOD + "tests: [{payload: 5, expect: deny}]\n", "p.yaml:9: test 1: `payload` must be an object"),
        (GOOD + "tests: [{payload: {}, expect: no}]\n", "p.yaml:9: test 1: `expect` is 'no', not allow, review"),
        (GOOD + "tests: [{payload: {}, expects: deny}]\n", "p.yaml:9: test 1: unknown key 'expects'; did you mean"),
        (GOOD + "tests: [{payload: {}, expect: deny, reasons: x}]\n", "test 1: `reasons` must be a list of texts"),
        (GOOD + "tests: [{payload: {a: 1, a: 2}, expect: deny}]\n", "p.yaml:9: the key 'a' stands twice"),
        ("a: " + "[" * 400 + "]" * 400, "p.yaml:1: "),
        ("a: " + "[" * 100_000, "p.yaml:1: nested deeper than 50; write fewer levels"),
        ("name: '\x07'", "p.yaml:1: not valid YAML"),
        ("a: |\n" + "  text\n" * 200_000, "p.yaml: larger than 1 MiB"),
    ],
)
def test_texts_that_hold_no_policy(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text))


def test_an_alias_bomb_is_refused_at_its_first_alias() -> None:
    levels = "".join(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]\n" for n in range(1, 50))

    assert problems(f"l0: &l0 [a]\n{levels}") == ["p.yaml:2: the alias *l0 is not possible here; write the value again"]


def test_all_faults_at_once() -> None:
    text = (
        GOOD
        + "  - {id: cap, when: payload.x > 1, action: deny}\n  - {id: b, when: y, action: bloc, wen: x}\ntest: []\n"
    )

    found = problems(f"{text}---\nname: other\n")

    assert [problem.partition(": ")[0] for problem in found] == [
        "p.yaml:11",
        "p.yaml:9",
        "p.yaml:10",
        "p.yaml:10",
        "p.yaml:10",
        "p.yaml:13",
    ]
    assert "rule 'cap': the id stands in line 5 already" in found[1]


def test_a_policy_error_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="rule 'cap'"):
        read_policies(GOOD.replace("payload.amount", "amount"))


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "a.yml").write_text(GOOD.replace("refund", "payment"))
    (tmp_path / "notes.txt").write_text("not a policy")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.yaml").write_text("not: a policy")

    policies = load_policies(tmp_path)

    assert policies.action_types == ("payment", "refund")
    assert policies.warnings == ()
    assert load_policies(str(tmp_path / "b.yaml"), "allow").unmatched == "allow"


def test_an_action_belongs_to_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("refund.base", "other"))

    with pytest.raises(PolicyError) as error:
        load_policies(tmp_path)

    (problem,) = error.value.problems
    assert problem.startswith(f"{tmp_path / 'b.yaml'}:1: action 'refund' belongs to refund.base@v1 already")
    assert f"{tmp_path / 'a.yaml'}:1" in problem
    assert "other@v1" in problem


def test_one_label_with_two_texts_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("action: refund\n", "action: payment\n"))

    (warning,) = load_policies(tmp_path).warnings

    assert warning.startswith(f"{tmp_path / 'b.yaml'}:1: refund.base@v1 is also in {tmp_path / 'a.yaml'}:1")


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="the folder holds no"):
        load_policies(tmp_path)
    with pytest.raises(PolicyError, match=r"nowhere\.yaml: can't be read \(No such file"):
        load_policies(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nothing")
    with pytest.raises(PolicyError, match="byte 9 is not UTF-8"):
        load_policies(tmp_path)


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())

    assert load_policies(tmp_path).action_types == ("refund",)


def test_the_starter_policy_covers_the_usual_actions_and_its_tests_hold() -> None:
    starter = load_policies(Path(supervisor_guards.policy.__file__).parent / "starter.yaml")

    assert set(starter.action_types) == {"refund", "payment", "email_send", "tool_use", "data_access", "account_change"}
    assert all(policy.tests for policy in starter.policies)
    assert run_tests(starter) == []


def test_policies_are_read_by_many_threads_at_once() -> None:
    """Python 3.11 and 3.12 lose count of a parser's depth where another thread's turn comes in its middle."""
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()

    def give_way(*_: object) -> None:
        sum(range(50))

    gc.callbacks.append(give_way)
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: load_policies(STARTER).hash, range(24)))
    finally:
        gc.callbacks.remove(give_way)
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
    assert len(set(found)) == 1


@pytest.mark.parametrize("where", ["name", "reason", "payload", "key"])
def test_half_a_character_is_refused(where: str) -> None:
    """YAML can write a lone surrogate, which neither JSON nor a database takes."""
    texts = {"name": "n", "reason": "r", "payload": "p", "key": "k", where: r"\ud800"}
    text = (
        f'name: "{texts["name"]}"\nversion: 1\nrules:\n'
        f'  - {{id: x, when: payload.a, action: deny, reason: "{texts["reason"]}"}}\n'
        f'tests:\n  - {{payload: {{a: "{texts["payload"]}", "{texts["key"]}": 1}}, expect: deny}}\n'
    )
    (problem,) = problems(text)
    assert "a lone surrogate" in problem


def test_a_name_may_hold_what_no_file_name_does() -> None:
    (policy,) = read_policies(GOOD.replace("refund.base", r'"refund\0.base"'))
    assert policy.evaluate({"amount": 101}).reasons == ("too-much",)
