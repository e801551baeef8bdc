"""For how long a reap from outside stops a process, by the number of its threads."""

import os
import pathlib
import subprocess

from figures import Cell, Table, Verdict, amount

SCRIPT = pathlib.Path(__file__).with_name("stop.sh")
LIMITS_MS = {1: None, 10: 1, 100: None, 1000: 20}  # of the median, by the number of threads
SAYS = """For how long closewait reap stops a process, as it says itself: one socket each time, by the number
of its threads."""


def judge(bench, threads, reaps, done, median):
    limit = LIMITS_MS[threads]
    missed = [f"{done} of {reaps} measured"] if done != reaps else []
    if median >= limit:
        missed.append(f"by {amount(median - limit)} ms")
    bench.judge(Verdict(f"stop of {threads:,} threads, the median", f"< {limit} ms", f"{amount(median)} ms",
                        ", ".join(missed)))


def measure(bench):
    reaps = bench.rounds * 3
    more = {"REAPS": str(reaps), "THREADS": " ".join(map(str, LIMITS_MS))}
    done = subprocess.run([SCRIPT], env=os.environ | more, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=True)
    rows = []
    for line in done.stdout.splitlines()[1:-1]:
        threads, count, median, least, most = line.split()
        rows.append((f"{int(threads):,} threads", {"median": Cell(float(median), " ms"),
                                                   "least": Cell(float(least), " ms"),
                                                   "most": Cell(float(most), " ms")}))
        if LIMITS_MS[int(threads)]:
            judge(bench, int(threads), reaps, int(count), float(median))
    bench.tell(Table("Stop", SAYS, ["median", "least", "most"], rows))
