"""Measure every figure and print the table: `python -m benchmarks [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import (
    asgi,
    django,
    enforce,
    flask,
    imports,
    published,
    record,
    remote,
    rules,
    service,
    shadow,
    throughput,
)
from benchmarks.figures import Figure, show, show_markdown
from benchmarks.scale import FULL, QUICK, Scale

SUBJECTS = (
    "shadow", "enforce", "rules", "throughput", "record", "remote", "asgi", "django", "flask", "service", "imports",
)  # fmt: skip
_SHORT = tuple(name for name in SUBJECTS if name != "service")
"""What `--quick` measures: the service starts servers and makes a long history, which takes minutes."""


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, within 40 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--markdown", action="store_true", help="print the table as in docs/performance.md")
    parser.add_argument("--only", choices=SUBJECTS, action="append", help="measure this subject; repeatable")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a line a decision would be measured too
    load = os.getloadavg()[0]
    started = time.perf_counter()
    found = list(
        _figures(QUICK if chosen.quick else FULL, tuple(chosen.only or (_SHORT if chosen.quick else SUBJECTS)))
    )
    elapsed = time.perf_counter() - started
    (show_markdown if chosen.markdown else show)(found)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} before the run, {elapsed:.0f} s"
    )
    if chosen.json:
        rows = [{**dataclasses.asdict(figure), "met": figure.met, "ratio": figure.ratio} for figure in found]
        chosen.json.write_text(
            json.dumps({"python": platform.python_version(), "load": load, "figures": rows}, indent=2) + "\n"
        )


def _figures(scale: Scale, subjects: tuple[str, ...]) -> Iterator[Figure]:
    versus = bool({"shadow", "enforce", "remote", "service"} & set(subjects)) and _published()
    if "shadow" in subjects:
        yield from _told("shadow", shadow.figures(scale, versus))
    if "enforce" in subjects:
        yield from _told("enforce", enforce.figures(scale, versus))
    if "rules" in subjects:
        yield from _told("rules", rules.figures(scale))
    if "throughput" in subjects:
        yield from _told("throughput", throughput.figures(scale))
    if "record" in subjects:
        yield from _told("record", record.figures(scale))
    if "remote" in subjects:
        yield from _told("remote", remote.figures(scale, versus))
    if "asgi" in subjects:
        yield from _told("asgi", asgi.figures(scale))
    if "django" in subjects:
        yield from _told("django", django.figures(scale))
    if "flask" in subjects:
        yield from _told("flask", flask.figures(scale))
    if "service" in subjects:
        yield from _told("service", service.figures(scale, versus))
    if "imports" in subjects:
        yield from _told("imports", imports.figures(scale))


def _told(subject: str, figures: Iterator[Figure]) -> Iterator[Figure]:
    print(f"measuring {subject} ...", file=sys.stderr, flush=True)
    yield from figures


def _published() -> bool:
    try:
        published.interpreter()
    except published.PublishedUnavailable as error:
        print(f"no comparison with supervisor-guards {published.VERSION}: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    main()
