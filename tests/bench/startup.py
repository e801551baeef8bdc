"""How long a program takes that does nothing."""

import statistics
import subprocess

from figures import Table, Verdict, ratios, skipped
from peers import BARE, BUILD, BPFTRACE, EMPTY, LOG, PRELOADS, TOOLS
from syscalls import STARTS

RUNS = 500
SAYS = """How long a program takes from its start to its end that does nothing: {runs} runs under each
preload, in turns, and {tool_runs} under each tool: enough to tell what costs many times as much. First
row: the median. The others: the median of the ratios to the bare run of the same turn, ± half of their
middle half."""


def timed(bench, peers, command, runs):
    """Turns, each {peer: ms}."""
    ways = []
    for peer in peers:
        way = bench.work / f"way {peer.name}"
        environment = [f"{name}={value}" for name, value in peer.environment().items()]
        way.write_text("\n".join([*environment, "--", *peer.before]) + "\n")
        ways.append(way)
    done = subprocess.run([BUILD / "tests/bench/spawn", str(runs), *ways, "--", *command],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return [{peer.name: int(ns) / 1e6 for peer, ns in zip(peers, line.split())}
            for line in done.stdout.splitlines()]


def measure(bench):
    runs = max(RUNS * bench.rounds // 10, 2)
    tool_runs = max(runs // 100, 2)
    here = [tool for tool in TOOLS if tool.before and not tool.lacks()]
    cells, against_empty = {}, {}
    for name, command in STARTS.items():
        turns = timed(bench, PRELOADS, command, runs)
        tool_turns = timed(bench, [BARE, *here], command, tool_runs)
        cells[name] = ratios(tool_turns, " ms") | ratios(turns, " ms")
        cells[name] |= {tool.name: skipped(tool.lacks()) for tool in TOOLS
                        if tool.before and tool not in here}
        against_empty[name] = statistics.median(turn[LOG.name] / turn[EMPTY.name] for turn in turns)
    rows = [(peer.name, {name: cells[name][peer.name] for name in STARTS})
            for peer in (*PRELOADS, *TOOLS) if peer != BPFTRACE]
    bench.tell(Table("Start-up", SAYS.format(runs=runs, tool_runs=tool_runs), list(STARTS), rows))
    for name, ratio in against_empty.items():
        missed = f"by {ratio - 1.05:.3f}" if ratio > 1.05 else ""
        bench.judge(Verdict(f"start-up of {name}, against an empty preload", "≤ 1.05",
                            f"{ratio:.3f}", missed))
