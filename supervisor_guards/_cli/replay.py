"""`supervisor-guards replay`: what a policy would have said to recorded actions."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import click

from supervisor_guards._cli import output, policies
from supervisor_guards._config import GuardConfig
from supervisor_guards._model import Outcome
from supervisor_guards.policy.engine import Unmatched
from supervisor_guards.policy.replay import Judge, judging

_REASONS_SHOWN = 5
_BROKEN_SHOWN = 10
_ALL = "all"


@dataclass
class Tally:
    """Verdicts of one group."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: str, reasons: tuple[str, ...]) -> None:
        self.outcomes[outcome] += 1
        if outcome != Outcome.ALLOW:
            self.reasons.update(reasons)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: the three counts, and why, most frequent first."""
        return {**{o.value: self.outcomes[o.value] for o in Outcome}, "reasons": dict(self.reasons.most_common())}


class BrokenLine(Exception):
    """A line that holds no action; the text says why."""


@dataclass
class Replay:
    """The result: tallies by group, lines that could not be read, action types without a policy."""

    key: str | None = None
    groups: dict[str, Tally] = field(default_factory=dict)
    total: Tally = field(default_factory=Tally)
    broken: list[tuple[int, str]] = field(default_factory=list)
    uncovered: Counter[str] = field(default_factory=Counter)
    key_seen: bool = False
    known_keys: set[str] = field(default_factory=set)

    @property
    def judged(self) -> int:
        return self.total.outcomes.total()

    def take(self, number: int, line: bytes, judge: Judge, covered: Callable[[str], bool]) -> None:
        """Judge one line; a blank one is nothing at all."""
        if not line.strip():
            return
        try:
            record = read(line)
        except BrokenLine as fault:
            self.broken.append((number, str(fault)))
            return
        if not covered(record["action_type"]):
            self.uncovered[record["action_type"]] += 1
        verdict = judge(record["action_type"], record["payload"], record.get("context"))
        for tally in (self.total, self.groups.setdefault(self._group(record), Tally())):
            tally.add(verdict.outcome.value, verdict.reasons)

    def _group(self, record: dict[str, Any]) -> str:
        if self.key is None:
            return _ALL
        self.key_seen = self.key_seen or self.key in record
        if not self.key_seen:
            self.known_keys.update(record)
        value = record.get(self.key)
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def read(line: bytes) -> dict[str, Any]:
    """The recorded action in `line`. Raises `BrokenLine`."""
    try:
        record = json.loads(line)
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8: {error.reason} at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise BrokenLine(f"not JSON: {error.msg} at column {error.colno}") from None
    except (RecursionError, ValueError) as error:  # nested too deeply; a number with too many digits
        raise BrokenLine(f"not JSON that can be read: {str(error)[:80]}") from None
    if not isinstance(record, dict):
        raise BrokenLine("not a JSON object")
    action_type = record.get("action_type")
    if not isinstance(action_type, str) or not action_type:
        raise BrokenLine('no "action_type" text')
    if "payload" not in record:
        raise BrokenLine('no "payload"')
    if not isinstance(record["payload"], dict):
        raise BrokenLine('"payload" is not an object')
    if not isinstance(record.get("context"), (dict, type(None))):
        raise BrokenLine('"context" is not an object')
    return record


def _lines(file: BinaryIO, size: int | None, shown: bool) -> Iterator[tuple[int, bytes]]:
    with output.progress(shown) as bar:
        task = bar.add_task("replaying", total=size)
        for number, line in enumerate(file, start=1):
            bar.advance(task, len(line))
            yield number, line


@click.command()
@click.argument("file", type=click.File("rb"), metavar="FILE.jsonl")
@click.option("--policy", "policy_path", metavar="PATH", help="Policy file or folder; else the configured one.")
@click.option("--by", "key", metavar="KEY", help="Group by this key of the lines, such as `suite`.")
@click.option(
    "--unmatched",
    type=click.Choice(["deny", "allow"]),
    default="allow",
    show_default=True,
    help="The verdict for an action type that no policy covers.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(file: BinaryIO, policy_path: str | None, key: str | None, unmatched: Unmatched, as_json: bool) -> None:
    """Judge recorded actions: how many a policy would allow, deny, send to review, and why.

    Each line of FILE is a JSON object with `action_type`, `payload` and maybe `context`; `-` is standard input.
    Lines that can't be read are counted and named. Exit code 1 when no line could be read.
    """
    config = GuardConfig.load()
    path, source = policies.chosen(policy_path, config)
    policy_set = policies.load(path, unmatched)
    result = Replay(key)
    judge = judging(policy_set, config.max_payload_bytes)
    for number, line in _lines(file, _size(file), shown=not as_json):
        result.take(number, line, judge, policy_set.covers)
    if key is not None and result.judged and not result.key_seen:
        keys = ", ".join(sorted(result.known_keys))
        raise click.BadParameter(f"no line has the key {key!r}; their keys are {keys}", param_hint="--by")
    if as_json:
        output.print_json(_as_object(result, path))
    else:
        _print(result, path, source, unmatched)
    if result.broken and not result.judged:
        count = output.counted(len(result.broken), "line")
        output.fail(f"nothing to judge: {count} broken, the first: {result.broken[0][1]}; give one action a line")


def _size(file: BinaryIO) -> int | None:
    """Bytes of a regular file; None for a pipe, whose end nobody knows."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _as_object(result: Replay, path: Path) -> dict[str, Any]:
    return {
        "policy": str(path),
        "by": result.key,
        "groups": {name: tally.as_dict() for name, tally in result.groups.items()},
        "totals": {"actions": result.judged, **result.total.as_dict(), "broken": len(result.broken)},
        "broken": [{"line": number, "fault": fault} for number, fault in result.broken],
        "uncovered": dict(result.uncovered.most_common()),
    }


def _print(result: Replay, path: Path, source: str, unmatched: str) -> None:
    click.echo(f"Policy: {path} ({source})")
    groups = list(result.groups.items())
    if len(groups) > 1:
        groups.append(("total", result.total))
    rows = [(name, *_counts(tally), _why(tally)) for name, tally in groups]
    columns = (result.key or "group", "actions", "allow", "deny", "review", "why")
    output.print_table(columns, rows)
    if result.uncovered:
        names = ", ".join(f"{name} ({count})" for name, count in result.uncovered.most_common())
        click.echo(f"No policy covers, so counted as {unmatched}: {output.safe(names)}")
    for number, fault in result.broken[:_BROKEN_SHOWN]:
        click.echo(f"Line {number} skipped: {output.safe(fault)}", err=True)
    if result.broken:
        more = len(result.broken) - _BROKEN_SHOWN
        rest = f"; {more} more are in --json" if more > 0 else ""
        click.echo(f"{output.counted(len(result.broken), 'broken line')} skipped{rest}.", err=True)


def _counts(tally: Tally) -> tuple[int, ...]:
    return (tally.outcomes.total(), *(tally.outcomes[outcome] for outcome in ("allow", "deny", "review")))


def _why(tally: Tally) -> str:
    shown = [f"{reason} ({count})" for reason, count in tally.reasons.most_common(_REASONS_SHOWN)]
    more = len(tally.reasons) - len(shown)
    return ", ".join(shown + ([f"{more} more"] if more > 0 else [])) or "-"
