"""What many sockets cost: memory, the watcher's time, and how soon the end of one is noticed."""

import contextlib
import dataclasses
import datetime
import json
import pathlib
import resource
import statistics
import subprocess
import time

from figures import Cell, Table, Verdict, amount, at_most, ratios, skipped
from peers import BARE, BUILD, LOG, SHIM

PROGRAMS = BUILD / "tests/bench"
NUMBERS = (1, 1_000, 10_000, 100_000, 1_000_000)
SPARE = 500        # descriptors that a program needs for itself
SOCKETS = 100_000  # what is more is duplicated
WATCH_S = 20       # for which the watcher's time is taken
NOTICES = 40
NOTICE_S = 15      # for all of them, and for the last
STORM, STORM_MS = 10_000, 1000
SETTLE_MS = 3000
PAGE_KIB = 4      # by which memory comes: where the table begins in one is chance
GRACE_MS = 1
SAYS = f"""A program that holds so many tracked descriptors, each a connection of its own up to {SOCKETS:,}, and
copies of those from there on. Memory is what is resident that is no file's, more than in the bare
program; then what is resident of the shim's file; and the memory for each, of what is more than with 1,000. The watcher's time is that of {WATCH_S} s
in which nothing happens. From FIN to report: {NOTICES} times a peer closes one of them, with a grace of
{GRACE_MS} ms, until the time in the record: the median, and the longest."""
STORM_SAYS = f"""{STORM:,} peers send their FIN within {STORM_MS} ms, with a grace of {GRACE_MS} ms, and the program
writes and reads bytes on a connection of its own meanwhile: its pace is compared with that of the second
before, and that ratio with the bare program's."""


@dataclasses.dataclass
class Talker:
    """A program that obeys lines, and answers each with one."""

    process: subprocess.Popen

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with status {self.process.wait()}")
        return line.split()

    def say(self, line):
        print(line, file=self.process.stdin, flush=True)

    def ask(self, line):
        self.say(line)
        return self.hear()

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)


@contextlib.contextmanager
def talker(command, environment):
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env=environment) as process:
        try:
            yield Talker(process)
        finally:
            if process.poll() is None:
                process.kill()


def environment(action=None, records=None):
    """The bare program's, or ours, with the records in a file."""
    if not action:
        return BARE.environment()
    records.unlink(missing_ok=True)
    ours = dataclasses.replace(LOG, options=f"action={action},grace={GRACE_MS}ms,format=json")
    env = ours.environment()
    env["CLOSEWAIT_OPTIONS"] = env["CLOSEWAIT_OPTIONS"].replace("/dev/null", str(records))
    return env


@contextlib.contextmanager
def holder(env, number):
    """Both ends, when all is held: (hold, far)."""
    sockets = min(number, SOCKETS)
    with talker([PROGRAMS / "far", sockets], BARE.environment()) as far:
        ports = far.hear()
        with talker([PROGRAMS / "hold", sockets, number, *ports], env) as hold:
            hold.hear()
            far.hear()
            yield hold, far


def memory_kib(pid):
    """What is resident of no file's, and what of the shim's file."""
    anonymous = of_shim = 0
    path = ""
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *words = line.split()
        if not name.endswith(":"):
            path = words[-1]
        elif name == "Anonymous:":
            anonymous += int(words[0])
            of_shim -= int(words[0]) if path == str(SHIM) else 0
        elif name == "Rss:":
            of_shim += int(words[0]) if path == str(SHIM) else 0
    return anonymous, of_shim


def watcher_ns(pid):
    """The time that the thread named closewait has run for."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "closewait":
            return int((task / "schedstat").read_text().split()[0])
    raise RuntimeError("there is no watcher")


def watcher_share(pid):
    """Of one core, in %."""
    before, start = watcher_ns(pid), time.monotonic()
    time.sleep(WATCH_S)
    return (watcher_ns(pid) - before) / 1e7 / (time.monotonic() - start)


def records_of(path, kind):
    if not path.exists():
        return []
    text = path.read_text()
    found = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
    return [record for record in found if record["type"] == kind]


def notice_ms(far, records):
    """From a FIN to the time in its report; None when there was none for long."""
    known = len(records_of(records, "leak"))
    sent_ms = int(far.ask("one")[0]) / 1e6
    deadline = time.monotonic() + NOTICE_S
    while time.monotonic() < deadline:
        told = records_of(records, "leak")
        if len(told) > known:
            at = datetime.datetime.fromisoformat(told[-1]["time"])
            return at.timestamp() * 1000 - sent_ms
        time.sleep(0.005)
    return None


def notices(far, records):
    """So many, or as many as time allows; apart by what has nothing to do with the sweep's beat."""
    found = []
    until = time.monotonic() + NOTICE_S
    while len(found) < NOTICES and time.monotonic() < until:
        found.append(notice_ms(far, records))
        time.sleep(0.037 * (len(found) % 5))
    return found


@dataclasses.dataclass
class Held:
    """What so many cost: resident KiB of no file's, more than in the bare program, and of the shim's
    file; the watcher's share of a core in %; the times from a FIN to its report in ms."""

    anonymous: int
    of_shim: int
    share: float
    times: list


def measure_number(work, number):
    records = work / "scale.jsonl"
    with holder(environment(), number) as (hold, _):
        bare = memory_kib(hold.process.pid)
    with holder(environment("log", records), number) as (hold, far):
        ours = memory_kib(hold.process.pid)
        share = watcher_share(hold.process.pid)
        return Held(ours[0] - bare[0], ours[1], share, notices(far, records) if number > 1 else [])


def most_descriptors():
    """Raises the limit that all here inherit as far as it may be, and returns what is left of it."""
    nofile = resource.RLIMIT_NOFILE
    most = int(pathlib.Path("/proc/sys/fs/nr_open").read_text())
    with contextlib.suppress(ValueError, PermissionError):
        resource.setrlimit(nofile, (most, most))
    soft, hard = resource.getrlimit(nofile)
    if soft < hard:
        resource.setrlimit(nofile, (hard, hard))
    return hard - SPARE


def row(number, held, fewer):
    """fewer: that of a smaller number, so that what is there once cancels."""
    cells = {"memory": Cell(held.anonymous, " KiB"), "of the file": Cell(held.of_shim, " KiB"),
             "watcher's core": Cell(held.share, " %")}
    if fewer:
        more = held.anonymous - fewer[1].anonymous - PAGE_KIB
        cells["each"] = Cell(more * 1024 / (number - fewer[0]), " B")
    if None in held.times:
        cells["FIN to report"] = skipped(f"{number:,}: no report within {NOTICE_S} s")
    elif held.times:
        cells["FIN to report"] = Cell(statistics.median(held.times), " ms")
        cells["the longest"] = Cell(max(held.times), " ms")
    return cells


def measure_numbers(bench):
    most = most_descriptors()
    numbers = sorted({min(number, most) for number in NUMBERS})
    held = {number: measure_number(bench.work, number) for number in numbers}
    fewer = {1: None, 1000: (1, held[1])}
    rows = {number: row(number, held[number], fewer.get(number, (1000, held[1000])))
            for number in numbers}
    why = skipped(f"this machine allows a process {most + SPARE:,} descriptors")
    rows |= {number: {"memory": why} for number in NUMBERS if number > most}
    bench.tell(Table("Scale", SAYS, ["memory", "of the file", "each", "watcher's core", "FIN to report",
                                     "the longest"], [(f"{number:,}", rows[number]) for number in rows]))
    judge_numbers(bench, held, max(numbers), rows)


def judge_numbers(bench, held, most, rows):
    bench.judge(at_most("memory with one socket", held[1].anonymous + held[1].of_shim, 256, " KiB"))
    bench.judge(at_most(f"memory for each of {most:,} tracked descriptors",
                        rows[most]["each"].figure, 32, " B"))
    for number in sorted({min(100_000, most), most}):
        bench.judge(at_most(f"the watcher's share of a core, {number:,} idle sockets",
                            held[number].share, 0.5, " %"))
    times = held[10_000].times
    if None in times:
        bench.judge(Verdict("from FIN to report, 10,000 sockets", "≤ 250 ms", "none", "for good"))
    else:
        bench.judge(at_most("from FIN to report, 10,000 sockets", max(times), 250, " ms"))


def storm(work, action):
    """How the pace changed; how many were found, were closed, and the longest time to that in ms."""
    records = work / "storm.jsonl"
    with holder(environment(action, records), STORM) as (hold, far):
        before = float(hold.ask(f"pace {STORM_MS}")[0])
        far.say(f"many {STORM} {STORM_MS}")
        during = float(hold.ask(f"pace {STORM_MS}")[0])
        far.hear()
        closed, _, longest = far.ask(f"wait {STORM} {SETTLE_MS if action == 'close' else 1}")
        if action == "log":
            time.sleep(SETTLE_MS / 1000)
        hold.end()
    summary = [{}, *records_of(records, "summary")][-1] if action else {}
    return during / before, summary.get("leaked", 0), int(closed), float(longest)


def measure_storm(bench):
    rounds, stormed = [], {}
    for _ in range(max(bench.rounds // 3, 1)):
        turn = {action: storm(bench.work, action) for action in (None, "log", "close")}
        rounds.append({action or BARE.name: pace for action, (pace, *_) in turn.items()})
        for action, each in turn.items():
            stormed.setdefault(action, []).append(each)
    pace = ratios(rounds, "")
    rows = [(BARE.name, {"pace": pace[BARE.name]})]
    for action in ("log", "close"):
        _, leaked, closed, longest = zip(*stormed[action])
        cells = {"pace": pace[action], "found": Cell(statistics.median(leaked))}
        if action == "close":
            cells |= {"closed": Cell(statistics.median(closed)),
                      "FIN to FIN, the longest": Cell(max(longest), " ms")}
        rows.append((action, cells))
        wrong = sum(found != STORM for found in leaked)
        wrong += sum(found != STORM for found in closed) if action == "close" else 0
        missed = [f"in {wrong} of {len(rounds)} rounds"] if wrong else []
        if pace[action].high < 0.99:
            missed.append(f"by a pace of {pace[action].ratio:.3f}")
        bench.judge(Verdict(f"{STORM:,} FINs in a second, {action}", "all, none twice, none slowed",
                            f"{amount(statistics.median(leaked))} found, pace {pace[action].text()}",
                            ", ".join(missed)))
    bench.tell(Table("Many at once", STORM_SAYS,
                     ["pace", "found", "closed", "FIN to FIN, the longest"], rows))


def measure(bench):
    measure_numbers(bench)
    measure_storm(bench)
