#!/usr/bin/python3
"""What the shim costs, against doing nothing and against what a user would pick instead.

    run.py [--quick] [--rounds N] [--renew] [PART...]

A part is one of those below; without any, all are measured, and docs/performance.md gets the tables.
--quick measures what is exact, and fails when a figure is greater than the one in exact.txt, or is
not there, or when one that is there was not measured.
"""

import argparse
import importlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import exact  # noqa: E402
import report  # noqa: E402

PARTS = ("instructions", "syscalls", "startup", "throughput", "scale", "stop")
EXACT = tuple(exact.PARTS)


class Bench:
    """What the parts are given, and what they tell."""

    def __init__(self, rounds, work):
        self.rounds = rounds
        self.work = work
        self.tables = []
        self.verdicts = []
        self.figures = {}  # the exact ones

    def tell(self, table):
        self.tables.append(table)
        report.show(table)

    def judge(self, verdict):
        self.verdicts.append(verdict)

    def exact(self, part, name, figures):
        """One figure for each of ours."""
        self.figures[f"{exact.PARTS[part]}: {name}"] = list(map(round, figures))


APART = "CLOSEWAIT_BENCH_APART"
TRACING = pathlib.Path("/sys/kernel/tracing")


def go_apart():
    """On in a network namespace of our own, where ports are free and no TIME_WAIT is kept: what ran
    before makes no difference; and with what bpftrace needs mounted. Where it may not be, on as we
    are."""
    if os.environ.get(APART):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        ipv4 = pathlib.Path("/proc/sys/net/ipv4")
        (ipv4 / "ip_local_port_range").write_text("10000 65535")
        (ipv4 / "tcp_max_tw_buckets").write_text("0")
        if TRACING.is_dir() and not any(TRACING.iterdir()):
            subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=False)
        return
    os.environ[APART] = "yes"
    alone = ["unshare", "--net", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0:
        os.execvp(alone[0], [*alone, sys.executable, *sys.argv])
    print("not in a network namespace of its own, as unshare(1) refuses it")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only what is exact, against exact.txt")
    parser.add_argument("--rounds", type=int, default=10, help="of what is timed")
    parser.add_argument("--renew", action="store_true", help="write exact.txt")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART",
                        help=", ".join(PARTS))
    options = parser.parse_args()
    parts = options.parts or (EXACT if options.quick or options.renew else PARTS)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    go_apart()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing is left behind

    work = pathlib.Path(tempfile.mkdtemp(prefix="closewait-bench."))
    try:
        bench = Bench(options.rounds, work)
        for part in parts:
            began = time.monotonic()
            importlib.import_module(part).measure(bench)
            print(f"{part}: measured in {time.monotonic() - began:.0f} s\n", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report.show_verdicts(bench.verdicts)
    report.write_json(bench)
    if tuple(parts) == PARTS:
        report.write_page(bench)
    if options.renew:
        exact.renew(parts, bench.figures)
    return 1 if options.quick and exact.has_failed(parts, bench.figures) else 0


if __name__ == "__main__":
    sys.exit(main())
