"""A measured figure beside its goal, the statistics behind it, and the table."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Literal

Unit = Literal["ns", "us", "ms", "s", "MB", "/s", "%", "x", ""]


@dataclasses.dataclass(frozen=True)
class Figure:
    """One row of the table.

    `median` is what `goal` is compared with, unless `judge` is `"p99"`. `at_least` says which way is better.
    A figure without a goal is printed for what it explains. `note` says what the number can't.
    """

    name: str
    unit: Unit
    median: float
    p99: float | None = None
    goal: float | None = None
    at_least: bool = False
    judge: Literal["median", "p99"] = "median"
    note: str = ""

    @property
    def judged(self) -> float:
        """The value that the goal is compared with."""
        return self.p99 if self.judge == "p99" and self.p99 is not None else self.median

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.judged >= self.goal if self.at_least else self.judged <= self.goal

    @property
    def ratio(self) -> float | None:
        """The judged value over its goal."""
        return self.judged / self.goal if self.goal else None


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` percent of `values` don't exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """The median of `values`."""
    return float(statistics.median(values))


def middle(rounds: Sequence[Sequence[float]], share: float = 50) -> float:
    """The median over rounds of each round's percentile: one disturbed round doesn't move it."""
    return median([percentile(values, share) for values in rounds])


def added(guarded: Sequence[Sequence[float]], bare: Sequence[Sequence[float]], share: float = 50) -> float:
    """What guarding adds at `share` percent, in the unit given; `guarded` and `bare` rounds were interleaved."""
    pairs = zip(guarded, bare, strict=True)
    return median([percentile(with_, share) - percentile(without, share) for with_, without in pairs])


def written(value: float | None, unit: Unit) -> str:
    """`value` in three digits or so, with its unit."""
    if value is None:
        return ""
    if unit in ("/s", "x") or abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{text}{unit if unit in ('/s', '%') else ' ' + unit if unit not in ('', 'x') else unit}"


def show(figures: Sequence[Figure]) -> None:
    """Print the table."""
    # Imported here: the measurements run without it.
    from rich.console import Console
    from rich.table import Table

    table = Table(title="supervisor-guards", caption="ratio: measured over goal")
    for heading in ("figure", "goal", "median", "p99", "ratio", "met"):
        table.add_column(heading, justify="left" if heading in ("figure", "met") else "right")
    for figure in figures:
        table.add_row(*cells(figure))
    console = Console()
    if not console.is_terminal:
        console = Console(width=132)
    console.print(table)
    for figure in figures:
        if figure.note:
            console.print(f"{figure.name}: {figure.note}", markup=False, highlight=False)


def show_markdown(figures: Sequence[Figure]) -> None:
    """Print the table as Markdown."""
    print("| figure | goal | median | p99 | ratio | met |")
    print("|---|---:|---:|---:|---:|---|")
    for figure in figures:
        print(f"| {' | '.join(cells(figure))} |")
    for figure in figures:
        if figure.note:
            print(f"\n{figure.name}: {figure.note}.")


def cells(figure: Figure) -> tuple[str, str, str, str, str, str]:
    """The row of `figure` as text."""
    goal = ""
    if figure.goal is not None:
        which = "p99 " if figure.judge == "p99" else ""
        goal = f"{which}{'>=' if figure.at_least else '<='} {written(figure.goal, figure.unit)}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return (figure.name, goal, written(figure.median, figure.unit), written(figure.p99, figure.unit), ratio, met)
