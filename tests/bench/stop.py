"""For how long a reap from outside stops a process, by the number of its threads."""

import os
import pathlib
import subprocess

from figures import Cell, Table

SCRIPT = pathlib.Path(__file__).with_name("stop.sh")
SAYS = """For how long closewait reap stops a process, as it says itself: one socket each time, by the number
of its threads."""


def measure(bench):
    done = subprocess.run([SCRIPT], env={**os.environ, "REAPS": str(bench.rounds * 3)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    rows = []
    for line in done.stdout.splitlines()[1:-1]:
        threads, _, median, least, most = line.split()
        rows.append((f"{int(threads):,} threads", {"median": Cell(float(median), " ms"),
                                                   "least": Cell(float(least), " ms"),
                                                   "most": Cell(float(most), " ms")}))
    bench.tell(Table("Stop", SAYS, ["median", "least", "most"], rows))
