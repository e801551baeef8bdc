"""Instructions of a call, exact, by callgrind."""

import re
import subprocess

from figures import Cell, Table, at_most
from peers import BUILD, BARE, FORWARD, LOG, OURS, PRELOADS

TIMES = 1000
ROWS = {  # of programs/calls.c
    "read": "read that returns data",
    "recv": "recv that returns data",
    "recvmsg": "recvmsg that returns data",
    "end": "read of the end of a stream",
    "end-again": "the same, read again",
    "write": "write",
    "poll": "poll of one descriptor",
    "socket": "socket",
    "connect": "connect",
    "close": "close of a connection",
    "connection": "socket + connect + close",
    "accept": "accept + close",
}
SAYS = f"""Instructions that the calling thread executes in user space, by callgrind, whose counts are
exact: the difference between {3 * TIMES} and {TIMES} calls, for each call. First column: the count. The
others: how many more than the pass-through preload, which is the floor of interposition, and in
brackets the ratio to the bare program. 16 frames of the program lie on the stack. The watcher,
another thread, is not in them. What the other tools cost is not spent in the program."""


def totals(peer, folder):
    """Of the calling thread: (kind, times) -> instructions."""
    out = folder / "callgrind"
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--separate-threads=yes",
               f"--callgrind-out-file={out}", BUILD / "tests/bench/calls", TIMES]
    done = subprocess.run(list(map(str, command)), env=peer.environment(), cwd=folder,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"calls under callgrind, {peer.name}: {done.stderr}")
    counted = {}
    for dump in folder.glob("callgrind.*-01"):
        text = dump.read_text()
        trigger = re.search(r"^desc: Trigger: Client Request: (\S+) (\d+)$", text, re.M)
        if trigger:
            counted[trigger[1], int(trigger[2])] = int(re.search(r"^totals: (\d+)", text, re.M)[1])
    for dump in folder.glob("callgrind*"):
        dump.unlink()
    return counted


def each_call(counted):
    """Without the marks around a call, which "nothing" has alone."""
    def each(kind):
        return (counted[kind, 3 * TIMES] - counted[kind, TIMES]) / (2 * TIMES)
    return {kind: each(kind) - each("nothing") for kind in ROWS}


def measure(bench):
    figures = {peer.name: each_call(totals(peer, bench.work)) for peer in PRELOADS}
    rows = []
    for kind, name in ROWS.items():
        bare, floor = figures[BARE.name][kind], figures[FORWARD.name][kind]
        cells = {BARE.name: Cell(round(bare, 1))}
        for peer in PRELOADS[1:]:
            figure = figures[peer.name][kind]
            cells[peer.name] = Cell(figure, ratio=figure / bare, more=figure - floor)
        rows.append((name, cells))
        bench.exact("instructions", name, [cells[peer.name].more for peer in OURS])
    bench.tell(Table("Instructions", SAYS, [peer.name for peer in PRELOADS], rows))
    found = {kind: figures[LOG.name][kind] - figures[FORWARD.name][kind] for kind in ROWS}
    bench.judge(at_most("instructions added to a read or recv that returns data",
                        max(found[kind] for kind in ("read", "recv")), 8))
    bench.judge(at_most("instructions added to connect + close, 16 frames replayed",
                        found["connect"] + found["close"], 300))
