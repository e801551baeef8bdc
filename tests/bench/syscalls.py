"""System calls, exact, by strace -c; and how often an idle program wakes."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import tempfile

from figures import Cell, Table, at_most
from peers import BUILD, BARE, LOG, OURS, PRELOADS

LIFE = BUILD / "tests/bench/life"
TIMES = 500
TRACED_S = 3
IDLE_S = 10
LIVES = {  # of programs/life.c, and how many
    "dialed": ("a connection that it makes", TIMES),
    "accepted": ("a connection that it accepts", TIMES),
    "apart": ("a connection that it makes after a pause", 2),
}
IDLE = {
    "never": "idle, never had a socket",
    "after": "idle, its only connection was closed",
    "listening": "idle, with a listener",
    "one": "idle, with one connection",
}
DEPENDS_ON_TIME = {("life", "apart"), ("idle", "listening"), ("idle", "one")}
STARTS = {"true": ["/bin/true"], "bash -c :": ["/bin/bash", "-c", ":"],
          "python3 -c ''": ["/usr/bin/python3", "-I", "-c", ""]}
SAYS = f"""System calls, by strace: how many more than the bare program's. For a connection's whole life (it
is made or accepted, one byte is written and one read, the end is read, it is closed) those of the program's
thread, by strace -c, the difference between {3 * TIMES} and {TIMES} connections for each. At start-up, and
of the idle program in {TRACED_S} s, those of all threads."""
WAKES = f"""How often any thread of an idle program wakes in a second, over {IDLE_S} s: the context switches that
getrusage(2) counts, less the program's own one."""


def strace(peer, work, flags, command):
    """What strace writes of a command under a preload."""
    handle, out = tempfile.mkstemp(dir=work)
    os.close(handle)
    settings = [f"-E{name}={value}" for name, value in peer.environment().items()]
    done = subprocess.run(["strace", "-o", out, *flags, *settings, *map(str, command)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"strace {command}, {peer.name}: {done.stderr}")
    return pathlib.Path(out).read_text(errors="replace")


def counted(peer, work, command, *flags):
    said = strace(peer, work, ["-c", "-U", "calls,name", *flags], command)
    return int(re.search(r"^ *(\d+) +total$", said, re.M)[1])


def each_life(peer, work, way):
    times = LIVES[way][1]
    short, long = (counted(peer, work, [LIFE, way, n]) for n in (times, 3 * times))
    return (long - short) / (2 * times)


def while_asleep(peer, work, way):
    """Of all threads, those that begin while the program's own call, its sleep, lasts."""
    said = strace(peer, work, ["-f"], [LIFE, way, TRACED_S])
    asleep = said.split("getppid(")[1].splitlines()[1:-1]
    return sum(" resumed>" not in line for line in asleep) - 1


def least(way, ask):
    """Where none is due, of up to three runs the best: on a busy machine the watcher may be late to
    fall asleep."""
    figure = ask()
    for _ in range(0 if ("idle", way) in DEPENDS_ON_TIME else 2):
        figure = min(figure, ask()) if figure > 0 else figure
    return figure


def each_second(peer, work, way):
    return least(way, lambda: while_asleep(peer, work, way)) / TRACED_S


def start(peer, work, name):
    return counted(peer, work, STARTS[name], "-f")


def wakes_once(peer, way):
    done = subprocess.run([LIFE, way, str(IDLE_S)], env=peer.environment(), check=True,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return int(done.stdout) - 1


def wakes(peer, _, way):
    return least(way, lambda: wakes_once(peer, way)) / IDLE_S


def ask(bench, questions, at_once):
    """(what, name) -> {peer: figure} of questions (what, function, name)."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        running = {(what, name, peer.name): pool.submit(function, peer, bench.work, name)
                   for what, function, name in questions for peer in PRELOADS}
    found = {}
    for (what, name, peer), run in running.items():
        found.setdefault((what, name), {})[peer] = run.result()
    return found


def ask_all(bench):
    """What sleeps most of its time is asked all at once."""
    work = ([("life", each_life, way) for way in LIVES if way != "apart"] +
            [("start", start, name) for name in STARTS])
    sleep = ([("life", each_life, "apart")] + [("idle", each_second, way) for way in IDLE] +
             [("wakes", wakes, way) for way in IDLE])
    return ask(bench, work, os.cpu_count()) | ask(bench, sleep, len(sleep) * len(PRELOADS))


def more_cells(figures):
    bare = figures[BARE.name]
    cells = {BARE.name: Cell(bare)}
    for peer in PRELOADS[1:]:
        figure = figures[peer.name]
        cells[peer.name] = Cell(figure, ratio=figure / bare if bare else None, more=figure - bare)
    return cells


def measure(bench):
    found = ask_all(bench)
    names = {("life", way): name for way, (name, _) in LIVES.items()}
    names |= {("idle", way): f"{name}, a second" for way, name in IDLE.items()}
    names |= {("start", name): f"start-up of {name}" for name in STARTS}
    bench.tell(Table("System calls", SAYS, [peer.name for peer in PRELOADS],
                     [(name, more_cells(found[key])) for key, name in names.items()]))
    bench.tell(Table("Wake-ups", WAKES, [peer.name for peer in PRELOADS],
                     [(name, {peer: Cell(figure) for peer, figure in found["wakes", way].items()})
                      for way, name in IDLE.items()]))
    judge(bench, found, names)


def judge(bench, found, names):
    more = {key: {peer.name: figures[peer.name] - figures[BARE.name] for peer in OURS}
            for key, figures in found.items()}
    for key, name in names.items():
        if key not in DEPENDS_ON_TIME:
            bench.exact("syscalls", name, [more[key][peer.name] for peer in OURS])
    bench.judge(at_most("system calls added to a connection's life",
                        max(round(more["life", way][LOG.name]) for way in ("dialed", "accepted")),
                        0))
    bench.judge(at_most("system calls a second of an idle program without a tracked socket",
                        max(more["idle", way][LOG.name] for way in ("never", "after")), 0))
    bench.judge(at_most("wake-ups a second of an idle program without a tracked socket",
                        max(found["wakes", way][LOG.name] for way in ("never", "after")), 0))
