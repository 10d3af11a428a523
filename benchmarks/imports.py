"""What `import supervisor_guards` costs over a bare interpreter, in time and in memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.figures import Figure, median, percentile
from benchmarks.scale import Scale

# On Linux not `ru_maxrss`: a child inherits its parent's peak through `vfork`.
_REPORT = """
try:
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
except OSError:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1048576)
"""


def figures(scale: Scale) -> Iterator[Figure]:
    """Time of the whole process and its peak memory, the two sides taking turns."""
    bare: list[tuple[float, float]] = []
    with_: list[tuple[float, float]] = []
    _run("import supervisor_guards")  # compiles what isn't compiled yet
    for _ in scale.in_time():
        bare.append(_run("pass"))
        with_.append(_run("import supervisor_guards"))
    times = [more[0] - less[0] for more, less in zip(with_, bare, strict=True)]
    memory = [more[1] - less[1] for more, less in zip(with_, bare, strict=True)]
    yield Figure("import supervisor_guards, over bare", "ms", median(times), percentile(times, 99), goal=60)
    yield Figure("import supervisor_guards, memory over bare", "MB", median(memory), goal=8)


def _run(statement: str) -> tuple[float, float]:
    """Milliseconds and megabytes of an interpreter that runs `statement`."""
    started = time.perf_counter_ns()
    done = subprocess.run(
        [sys.executable, "-I", "-c", statement + _REPORT], check=True, capture_output=True, timeout=60
    )
    return (time.perf_counter_ns() - started) / 1_000_000, float(done.stdout)
