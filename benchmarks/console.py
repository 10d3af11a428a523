"""How long the console's overview takes with a million decisions: `python -m benchmarks.console [--decisions N] [URL]`.

The decisions are spread over 30 days, so that nearly each has roll-ups of its own: the worst there is to add up.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import closing

from supervisor_guards.embedded.desk import ReviewDesk
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.console.overview import WINDOWS, overview_of
from tests.console.scene import rows

_BATCH = 10_000
_ROUNDS = 20


def main() -> None:
    """Fill a store, ask for each window, print a table in ms."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("url", nargs="?", help="postgresql://... of an empty database; else SQLite in a new folder")
    parser.add_argument("--decisions", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, closing(Store(chosen.url or f"sqlite:///{folder}/d.db")) as store:
        for number in range(chosen.decisions // _BATCH):
            store.write(rows(_BATCH, hours=720.0, seed=1_000 + number))
        print(f"{chosen.decisions:,} decisions in {'PostgreSQL' if chosen.url else 'SQLite'}; ms")
        print(f"{'window':<8}{'first':>8}{'median':>8}{'longest':>9}  requests until it is whole")
        for window in WINDOWS:
            _measure(store, window)


def _measure(store: Store, window: str) -> None:
    desk, taken, partial = ReviewDesk(store), [], 0
    while len(taken) < _ROUNDS:
        started = time.perf_counter()
        values = overview_of(desk, store, window)
        taken.append((time.perf_counter() - started) * 1_000)
        if values["figures"]["whole"] is not None:
            partial += 1
            time.sleep(0.5)
    print(f"{window:<8}{taken[0]:>8.0f}{statistics.median(taken):>8.0f}{max(taken):>9.0f}  {partial + 1}")


if __name__ == "__main__":
    main()
