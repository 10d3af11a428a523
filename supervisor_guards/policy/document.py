"""Policy files: YAML in, checked and compiled policies out, or every fault with its place at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from supervisor_guards._model import PRIORITIES, Outcome, ReviewPriority
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.policy import _yaml
from supervisor_guards.policy._yaml import Fault, did_you_mean, line_of
from supervisor_guards.policy.engine import Policy, PolicySet, PolicyTest, Rule, Unmatched
from supervisor_guards.policy.expressions import Condition, ExpressionError, compile_condition

__all__ = ["PolicyError", "PolicySet", "load_policies", "read_policies"]

_DOCUMENT_KEYS = ("name", "version", "action", "default", "rules", "tests")
_RULE_KEYS = ("id", "when", "action", "reason", "explanation", "priority")
_TEST_KEYS = ("payload", "context", "request", "expect", "reasons")
_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_SUFFIXES = (".yaml", ".yml")
_SEPARATOR = re.compile(r"\A---[ \t]*\r?\n")
"""What parts a document from the one before it, and belongs to neither."""

Fields = dict[str, tuple[yaml.Node, yaml.Node]]


class PolicyError(ConfigurationError):
    """Policies that can't be used. Each of `problems` is `file:line: rule: what is wrong; what to write`."""


def load_policies(path: Path | str, unmatched: Unmatched = "deny") -> PolicySet:
    """The policies of a file, or of every `*.yaml` and `*.yml` of a folder (not of its subfolders).

    Raises `PolicyError` with every fault of every file.
    """
    problems: list[str] = []
    policies: list[Policy] = []
    try:
        files = policy_files(Path(path))
    except OSError as error:
        raise PolicyError(f"{path}: can't be read ({error.strerror}); check SUPERVISOR_POLICY") from None
    if not files:
        raise PolicyError(f"{path}: the folder holds no *.yaml file; put a policy there")
    for file in files:
        try:
            data = file.read_bytes()
            policies += read_policies(data.decode("utf-8-sig"), str(file))
        except PolicyError as error:
            problems += error.problems
        except OSError as error:
            problems.append(f"{file}: can't be read ({error.strerror}); check the path and its permissions")
        except UnicodeDecodeError as error:
            problems.append(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8")
    problems += _claimed_twice(policies)
    if problems:
        raise PolicyError(problems)
    return PolicySet(policies, unmatched, _same_label(policies))


def policy_files(path: Path) -> list[Path]:
    """The files that `load_policies` reads for `path`. Raises `OSError`."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    path.stat()
    return [path]


def read_policies(text: str, file: str = "<policy>") -> list[Policy]:
    """The policies of one file's `text`; `file` is its name in messages. Raises `PolicyError`."""
    if len(text.encode("utf-8", "surrogatepass")) > _yaml.MAX_BYTES:
        raise PolicyError(f"{file}: larger than 1 MiB; split it into several files in one folder")
    try:
        nodes = _yaml.compose(text)
    except Fault as fault:
        raise PolicyError(f"{file}:{fault.line}: {fault.message}") from None
    if not nodes:
        raise PolicyError(f"{file}: holds no policy; write `name`, `version`, `action` and `rules`")
    problems: list[str] = []
    policies = []
    for node, part in nodes:
        reader = _Reader(file)
        policy = reader.policy(node, text, part)
        problems += reader.problems
        if policy is not None:
            policies.append(policy)
    if problems:
        raise PolicyError(problems)
    return policies


def _claimed_twice(policies: Sequence[Policy]) -> list[str]:
    owners: dict[str, Policy] = {}
    problems = []
    for policy in policies:
        for action in policy.actions:
            owner = owners.setdefault(action, policy)
            if owner is not policy:
                problems.append(
                    f"{policy.file}:{policy.line}: action {action!r} belongs to {owner.label} already "
                    f"({owner.file}:{owner.line}), and {policy.label} claims it too; keep it in one of them"
                )
    return problems


def _same_label(policies: Sequence[Policy]) -> list[str]:
    first: dict[str, Policy] = {}
    return [
        f"{policy.file}:{policy.line}: {policy.label} is also in {first[policy.label].file}:"
        f"{first[policy.label].line}, with other text; raise the version of one"
        for policy in policies
        if first.setdefault(policy.label, policy).hash != policy.hash
    ]


class _Reader:
    """Reads one document and collects its problems."""

    def __init__(self, file: str) -> None:
        self.problems: list[str] = []
        self._file = file

    def policy(self, node: yaml.Node, text: str, part: str) -> Policy | None:
        """The policy of a document's root in `text`, whose own text is `part`; None when there are problems."""
        fields = self._fields(node, "a policy", _DOCUMENT_KEYS, ("name", "version", "rules"))
        if fields is None:
            return None
        name = self._text(fields, "name")
        actions = self._actions(fields, name)
        default = self._outcome(fields, "default") if "default" in fields else Outcome.ALLOW
        rules = self._rules(fields["rules"][1]) if "rules" in fields else []
        tests = self._tests(fields["tests"][1]) if "tests" in fields else []
        version = self._version(fields)
        if self.problems:
            return None
        document = text[node.start_mark.index : node.end_mark.index].rstrip()
        return Policy(
            name=name,
            version=version,
            actions=actions,
            rules=tuple(rules),
            default=default,
            tests=tuple(tests),
            hash=hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest(),
            file=self._file,
            line=line_of(node),
            source=_SEPARATOR.sub("", part),
        )

    def _version(self, fields: Fields) -> str:
        """The version as it is written: 1.10 stays 1.10."""
        node = fields["version"][1] if "version" in fields else None
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            if node is not None:
                self._problem(node, "`version` must be a number or text; write `version: 1`")
            return ""
        return str(node.value)

    def _actions(self, fields: Fields, name: str) -> tuple[str, ...]:
        """The action types; without `action:`, the name up to its first dot, as published files mean it."""
        if "action" not in fields:
            return (name.split(".", 1)[0],)
        node = fields["action"][1]
        value = self._value(node)
        actions = value if isinstance(value, list) else [value]
        if not actions or not all(isinstance(action, str) and action.strip() for action in actions):
            self._problem(node, "`action` must be an action type or a list of them; write `action: refund`")
            return ()
        if len(set(actions)) < len(actions):
            self._problem(node, "`action` lists an action type twice; keep one")
        return tuple(actions)

    def _rules(self, node: yaml.Node) -> list[Rule]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self._problem(node, "`rules` must be a list with at least one rule; write `rules: [{id: ..., ...}]`")
            return []
        rules = []
        lines: dict[str, int] = {}
        for item in node.value:
            rule = self._rule(item)
            if rule is None:
                continue
            first = lines.setdefault(rule.id, rule.line)
            if first != rule.line:
                self._problem(item, f"the id stands in line {first} already; choose another", f"rule {rule.id!r}: ")
            rules.append(rule)
        return rules

    def _rule(self, node: yaml.Node) -> Rule | None:
        before = len(self.problems)
        where = self._rule_name(node)
        fields = self._fields(node, "a rule", _RULE_KEYS, ("id", "when", "action"), where)
        if fields is None:
            return None
        identity = self._text(fields, "id", where)
        condition = self._condition(fields["when"][1], where) if "when" in fields else None
        action = self._outcome(fields, "action", where)
        reason = self._text(fields, "reason", where) if "reason" in fields else identity
        explanation = self._text(fields, "explanation", where) if "explanation" in fields else ""
        priority = self._priority(fields, where) if "priority" in fields else "normal"
        if condition is None or len(self.problems) > before:
            return None
        return Rule(identity, condition, action, reason, explanation, line_of(node), priority)

    def _condition(self, node: yaml.Node, where: str) -> Condition | None:
        value = self._value(node)
        if isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self._problem(node, "`when` must be a condition; write `when: payload.amount > 100`", where)
            return None
        try:
            return compile_condition(value)
        except ExpressionError as error:
            # A block scalar (| or >) starts on the line after its sign.
            block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
            line = line_of(node) + error.line - 1 + block
            self._at(line, f"{where}`when`, column {error.column}: {error.message}")
            return None

    def _tests(self, node: yaml.Node) -> list[PolicyTest]:
        if not isinstance(node, yaml.SequenceNode):
            self._problem(node, "`tests` must be a list; write `tests: [{payload: {...}, expect: deny}]`")
            return []
        return [test for number, item in enumerate(node.value, 1) if (test := self._test(item, number))]

    def _test(self, node: yaml.Node, number: int) -> PolicyTest | None:
        where = f"test {number}: "
        fields = self._fields(node, "a test", _TEST_KEYS, ("payload", "expect"), where)
        if fields is None:
            return None
        data = {}
        for key in ("payload", "context", "request"):
            data[key] = self._value(fields[key][1]) if key in fields else {}
            if not isinstance(data[key], dict):
                self._problem(fields[key][1], f"`{key}` must be an object; write `{key}: {{...}}`", where)
        reasons = self._value(fields["reasons"][1]) if "reasons" in fields else None
        if reasons is not None and not (isinstance(reasons, list) and all(isinstance(one, str) for one in reasons)):
            self._problem(fields["reasons"][1], "`reasons` must be a list of texts; write `reasons: [one]`", where)
            reasons = None
        expect = self._outcome(fields, "expect", where)
        return PolicyTest(
            expect=expect, reasons=None if reasons is None else tuple(reasons), line=line_of(node), **data
        )

    # Parts of an object

    def _fields(
        self, node: yaml.Node, what: str, known: Sequence[str], needed: Sequence[str], where: str = ""
    ) -> Fields | None:
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, f"{what} must be an object with the keys {', '.join(known)}", where)
            return None
        faults: list[Fault] = []
        fields = _yaml.entries_of(node, faults)
        self._report(faults, where)
        unknown = [key for key in fields if key not in known]
        for key in unknown:
            self._problem(fields[key][0], f"unknown key {key!r}; {did_you_mean(key, known)}", where)
        missing = [key for key in needed if key not in fields]
        if missing:
            self._problem(node, f"{what} needs {', '.join(f'`{key}`' for key in missing)}; add it", where)
        return fields

    def _text(self, fields: Fields, key: str, where: str = "") -> str:
        if key not in fields:
            return ""
        value = self._value(fields[key][1])
        if isinstance(value, str) and value.strip():
            return value.strip()
        self._problem(fields[key][1], f"`{key}` must be text, not {value!r}; write or quote it", where)
        return ""

    def _outcome(self, fields: Fields, key: str, where: str = "") -> Outcome:
        if key in fields:
            value = self._value(fields[key][1])
            if value in _OUTCOMES:
                return Outcome(value)
            hint = did_you_mean(value, _OUTCOMES) if isinstance(value, str) else f"write {', '.join(_OUTCOMES)}"
            self._problem(fields[key][1], f"`{key}` is {value!r}, not allow, review or deny; {hint}", where)
        return Outcome.DENY

    def _priority(self, fields: Fields, where: str) -> ReviewPriority:
        node = fields["priority"][1]
        value = self._value(node)
        action = self._value(fields["action"][1]) if "action" in fields else None
        if value not in PRIORITIES:
            known = PRIORITIES[::-1]
            hint = did_you_mean(value, known) if isinstance(value, str) else f"write {', '.join(known)}"
            self._problem(node, f"`priority` is {value!r}, not low, normal, high or urgent; {hint}", where)
        elif action in (Outcome.ALLOW, Outcome.DENY):
            message = f"`priority` says how soon a person should look, and `action: {action}` asks nobody; drop it"
            self._problem(node, message, where)
        else:
            return value  # type: ignore[no-any-return]
        return "normal"

    def _value(self, node: yaml.Node) -> Any:
        faults: list[Fault] = []
        value = _yaml.value_of(node, faults)
        self._report(faults)
        return value

    @staticmethod
    def _rule_name(node: yaml.Node) -> str:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value == "id" and isinstance(value, yaml.ScalarNode):
                return f"rule {value.value!r}: "
        return "rule without id: "

    def _report(self, faults: Sequence[Fault], where: str = "") -> None:
        for fault in faults:
            self._at(fault.line, f"{where}{fault.message}")

    def _problem(self, node: yaml.Node, message: str, where: str = "") -> None:
        self._at(line_of(node), f"{where}{message}")

    def _at(self, line: int, message: str) -> None:
        self.problems.append(f"{self._file}:{line}: {message}")
