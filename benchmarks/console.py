"""How long the console's overview takes with a million decisions: `python -m benchmarks.console [--decisions N]`.

On SQLite and then on PostgreSQL, as whole requests without a socket. The decisions are spread over 30 days, so that
nearly each has roll-ups of its own: the worst there is to add up. `--decisions 20000` is a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import sqlalchemy as sa

from supervisor_guards import Guard, GuardConfig
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.console import Console, Visitor, console
from supervisor_guards.service.console.overview import WINDOWS
from tests.console.scene import rows
from tests.postgres import cluster

DATABASES = ("SQLite", "PostgreSQL")
_BATCH = 10_000
_PARTIAL = "are being added up"
"""What the page says while the sums of a window aren't whole yet."""


def main() -> None:
    """Fill a store on each database, ask for each window, print a table in ms."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20, help="requests for each window, at least")
    parser.add_argument("--only", choices=DATABASES, help="one database alone")
    chosen = parser.parse_args()
    print(f"{chosen.decisions:,} decisions; ms a request")
    print(f"{'database':<12}{'window':<8}{'first':>8}{'median':>8}{'longest':>9}  requests until it is whole")
    for kind in DATABASES if chosen.only is None else (chosen.only,):
        with _database(kind) as (url, folder):
            _fill(url, chosen.decisions)
            for window in WINDOWS:
                taken, partial = _measured(url, folder, window, chosen.rounds)
                print(
                    f"{kind:<12}{window:<8}{taken[0]:>8.0f}{statistics.median(taken):>8.0f}{max(taken):>9.0f}"
                    f"  {partial + 1}",
                    flush=True,
                )


@contextlib.contextmanager
def _database(kind: str) -> Iterator[tuple[str, Path]]:
    """The URL of an empty database, and a folder for keys."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="supervisor-benchmark-")))
        if kind == "SQLite":
            yield f"sqlite:///{folder}/decisions.db", folder
        else:
            yield stack.enter_context(stack.enter_context(cluster()).database()), folder


def _fill(url: str, decisions: int) -> None:
    with contextlib.closing(Store(url)) as store:
        for start in range(0, decisions, _BATCH):
            store.write(rows(min(_BATCH, decisions - start), hours=720.0, seed=1_000 + start // _BATCH))
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as held:
        held.execute(sa.text("ANALYZE"))
    engine.dispose()


def _measured(url: str, folder: Path, window: str, rounds: int) -> tuple[list[float], int]:
    """How long each request took, from a process's first one on, and how many were answered with a part of the sums."""
    guard = Guard(GuardConfig(database_url=url, state_dir=str(folder)))
    try:
        return asyncio.run(_asked(console(guard, authenticate=lambda _: Visitor("bench", "viewer")), window, rounds))
    finally:
        guard.close()


async def _asked(app: Console, window: str, rounds: int) -> tuple[list[float], int]:
    taken: list[float] = []
    partial = 0
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        while len(taken) < rounds or partial == len(taken):
            started = time.perf_counter()
            page = (await http.get("/", params={"window": window})).raise_for_status()
            taken.append((time.perf_counter() - started) * 1_000)
            if _PARTIAL in page.text:
                partial += 1
                await asyncio.sleep(0.5)
    return taken, partial


if __name__ == "__main__":
    main()
