"""Those who sleep until another process has changed something."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from supervisor_guards.service.wakeups import REVIEWS, Wakeups


@pytest.mark.parametrize("turns", range(6))
def test_a_sleeper_that_is_cancelled_as_it_wakes_is_cancelled(turns: int, tmp_path: Path) -> None:
    """Else the tasks of a service that ends would go back to sleep, and it would wait for them for ever."""

    async def main() -> None:
        wakeups = Wakeups(f"sqlite:///{tmp_path}/wakeups.db")
        went_on = False

        async def follow() -> None:
            nonlocal went_on
            await wakeups.sleep(REVIEWS, 0, 30.0)
            went_on = True

        task = asyncio.create_task(follow())
        await asyncio.sleep(0)
        wakeups.changed(REVIEWS)
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            await asyncio.wait([task])
            assert task.cancelled()
            assert not went_on

    asyncio.run(main())


def test_a_file_that_can_not_be_read_for_a_moment_is_looked_at_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where no more files can be opened; sleepers would sleep their whole time from then on."""

    async def main() -> None:
        wakeups = Wakeups(f"sqlite:///{tmp_path}/late/wakeups.db")
        wakeups.start()
        try:
            while not caplog.messages:
                await asyncio.sleep(0)
            (tmp_path / "late").mkdir()
            assert await wakeups.sleep(REVIEWS, 0, 60.0)
        finally:
            await asyncio.to_thread(wakeups.stop)

    asyncio.run(main())
    assert "can't see what other processes write, trying again" in caplog.messages[0]
