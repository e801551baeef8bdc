"""How much a busy program does in a second."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from figures import Table, Verdict, ratios, skipped
from peers import BUILD, EMPTY, LOG, PRELOADS, TOOLS, Beside

PORT = 7070
RUN_S = 0.5
UP_S, OVER_S = 20, 60
CHURN = BUILD / "tests/bench/churn"
NGINX = pathlib.Path(__file__).with_name("nginx.conf")
SAYS = """How much a busy program does in a second: under each preload in {rounds} rounds, in turns that
begin with another one each time; under each tool in {tool_rounds}. First row: the median. The others:
the median of the ratios to the bare run of the same round, ± half of their middle half. The server is
under the preload or tool, the client is bare; of iperf3 both ends are, and churn is one program."""

BUSY_SAYS = """The same runs: for how long each request, connection or byte (of iperf3, MB) kept a processor busy,
in all threads of the server, and of strace and its like, or of churn alone. Where others use the
machine as well this says more than throughput."""


class Failed(Exception):
    """A run that gave no figure, and why."""


def said(command, **more):
    """The output of a command that must succeed."""
    try:
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=OVER_S, check=False, **more)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{command[0]} was not over after {OVER_S} s") from late
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(f"{command[0]}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout


def is_up():
    """Whether somebody listens, without a connection: to iperf3 it would be a client."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{PORT:04X}") and line.split()[3] == "0A"
               for line in lines)


@contextlib.contextmanager
def server(peer, command, work):
    """A server under a peer, from when it can be connected to; it ends with the block."""
    process = subprocess.Popen(peer.argv(command), env=peer.environment(), cwd=work,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + UP_S
        while not is_up():
            if process.poll() is not None:
                raise Failed(f"{command[0]} ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise Failed(f"{command[0]} took no connection within {UP_S} s")
            time.sleep(0.01)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def busy_ns(process):
    """For how long those that were started with a process have kept a processor busy."""
    total = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            session = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[3]
            if int(session) == process.pid:
                total += sum(int(each.read_text().split()[0])
                             for each in folder.glob("task/*/schedstat"))
    return total


class Redis:
    """Its client takes a number of requests and no time: the number comes from a first, short run."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def ask(self, requests):
        out = said(["redis-benchmark", "-p", PORT, "-c", 50, "-t", "get", "-P", self.pipeline, "-n",
                    requests, "--csv"])
        return float(re.search(r'^"GET","([0-9.]+)"', out, re.M)[1])

    def __call__(self, peer, work):
        command = ["redis-server", "--port", PORT, "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no"]
        with server(peer, command, work) as process:
            requests = max(int(self.ask(2000) * RUN_S), 2000)
            before = busy_ns(process)
            return self.ask(requests), (busy_ns(process) - before) / requests


def wrk(*header):
    def measure(peer, work):
        with server(peer, ["nginx", "-p", f"{work}/", "-c", NGINX], work) as process:
            before = busy_ns(process)
            out = said(["wrk", "-t1", "-c32", "-d1", *header, f"http://127.0.0.1:{PORT}/"])
            busy = busy_ns(process) - before
        requests = int(re.search(r"^ *(\d+) requests in", out, re.M)[1])
        return float(re.search(r"^Requests/sec: *([0-9.]+)", out, re.M)[1]), busy / requests
    return measure


def iperf(peer, work):
    with server(peer, ["iperf3", "-s", "-4", "-p", PORT], work) as process:
        before = busy_ns(process)
        out = said(peer.argv(["iperf3", "-4", "-c", "127.0.0.1", "-p", PORT, "-t1", "-J"]),
                   env=peer.environment())
        busy = busy_ns(process) - before
    told = json.loads(out)
    if "error" in told:
        raise Failed(f"iperf3: {told['error']}")
    received = told["end"]["sum_received"]
    return received["bits_per_second"] / 8e6, busy / received["bytes"] * 1e6


def churn(what, threads):
    def measure(peer, work):
        out = said(peer.argv([CHURN, what, threads, int(RUN_S * 1000)]), cwd=work,
                   env=peer.environment())
        if len(out.split()) != 2:
            raise Failed(f"churn said {out!r}")
        return tuple(map(float, out.split()))
    return measure


# Each gives how much was done in a second, and for how many ns each kept a processor busy.
WORKLOADS = {
    "redis": (Redis(1), "/s"),
    "redis, 16 pipelined": (Redis(16), "/s"),
    "nginx, keep-alive": (wrk(), "/s"),
    "nginx, without": (wrk("-H", "Connection: close"), "/s"),
    "iperf3": (iperf, " MB/s"),
    "connections": (churn("storm", 1), "/s"),
    "connections, 8 threads": (churn("storm", 8), "/s"),
    "bytes, 8 threads": (churn("exchange", 8), "/s"),
}


def play(bench, workload, peers, why_not):
    """One round: {peer: figure}, in this order; a tool that fails once is not tried again."""
    figures = {}
    for peer in peers:
        if (workload, peer.name) in why_not:
            continue
        try:
            with Beside(peer):
                figures[peer.name] = WORKLOADS[workload][0](peer, bench.work)
        except (Failed, OSError) as failed:
            if not peer.is_tool:
                raise
            why_not[workload, peer.name] = f"{workload}: {failed}"
    return figures


def measure(bench):
    tool_rounds = max(bench.rounds // 5, 1)
    why_not = {(workload, tool.name): tool.lacks() for workload in WORKLOADS for tool in TOOLS
               if tool.lacks()}
    rounds = {workload: [] for workload in WORKLOADS}
    for number in range(bench.rounds):
        first = number % len(PRELOADS)
        turn = [*PRELOADS[first:], *PRELOADS[:first], *(TOOLS if number < tool_rounds else ())]
        for workload, played in rounds.items():
            played.append(play(bench, workload, turn, why_not))
    says = SAYS.format(rounds=bench.rounds, tool_rounds=tool_rounds)
    cells = cells_of(rounds, 0, why_not)
    bench.tell(table("Throughput", says, cells))
    bench.tell(table("Processor time", BUSY_SAYS, cells_of(rounds, 1, why_not)))
    for workload in WORKLOADS:
        bench.judge(verdict(workload, cells[workload]))


def cells_of(rounds, which, why_not):
    """Of the first or the second figure of each run."""
    cells = {}
    for workload, played in rounds.items():
        unit = " ns" if which else WORKLOADS[workload][1]
        cells[workload] = ratios([{peer: run[which] for peer, run in each.items()}
                                  for each in played], unit)
    for (workload, tool), why in why_not.items():
        cells[workload][tool] = skipped(why)
    return cells


def table(title, says, cells):
    return Table(title, says, list(WORKLOADS),
                 [(peer.name, {workload: cells[workload][peer.name] for workload in WORKLOADS})
                  for peer in (*PRELOADS, *TOOLS)])


def verdict(workload, cells):
    """Below the empty preload beyond the spread: the middle halves do not touch."""
    ours, empty = cells[LOG.name], cells[EMPTY.name]
    missed = []
    if ours.ratio < 0.99:
        missed.append(f"by {0.99 - ours.ratio:.3f}")
    if ours.high < empty.low:
        missed.append(f"by {empty.ratio - ours.ratio:.3f} to the empty preload")
    return Verdict(f"throughput: {workload}", "≥ 0.99", ours.text(), ", ".join(missed))
