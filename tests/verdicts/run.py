#!/usr/bin/python3
"""Plays the scenarios of the table: each without the shim and in all three actions, and says what
was wrong: a verdict, a reap, or a byte, status or errno that is not as it is without the shim.

    run.py [--rounds N] [--jobs N] [--grace MS] [--wait S] [--quick] [PATTERN...]

A pattern is a part of a scenario's name. A run that was wrong leaves its folder behind.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ACTIONS = (None, "log", "close-dead", "close")
REAPING = ("close-dead", "close")
VERDICTS = ("none", "eof-ignored", "eof-unread", "data-unread", "reset-ignored", "accept-queue")
REAPS = ("reap", "keep", "cut", "may")
ISOLATE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
PLAY_S = 120


def read_table(path):
    """Rows as the head of the table describes them."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            who, text = line.split(None, 1)
            rows[-1][who].append(text)
            continue
        name, verdict, close, dead, *needs = [*re.split(r"\s{2,}", line.strip()), "", "", ""]
        for word, known in (verdict, VERDICTS), (close, REAPS), (dead, REAPS):
            if not set(word.split(",")) <= set(known):
                sys.exit(f"{path}:{number}: '{word}' is none of {', '.join(known)}")
        rows.append({"name": name, "verdict": verdict, "close": close, "close-dead": dead,
                     "needs": " ".join(needs).split(), "program": [], "peer": []})
    return rows


def fails(command):
    return subprocess.run(command.split(), capture_output=True).returncode != 0


# What a row can need beside a program: how to see that it is not here, and what to say then.
NEEDS = {
    "root": (lambda: os.geteuid() != 0, "needs root"),
    "far": (lambda: fails(f"{' '.join(ISOLATE)} ip link add near type veth peer name far"),
            "the kernel has no veth"),
    "io_uring": (lambda: fails("end-uring unix drain=io_uring"), "the kernel refuses io_uring"),
    "mptcp": (lambda: fails("grep -q 1 /proc/sys/net/mptcp/enabled"), "the kernel has no MPTCP"),
    "quick": (lambda: False, ""),
}


def lacks(row):
    """Why a row cannot be played here; None when it can."""
    for need in row["needs"]:
        is_missing, why = NEEDS.get(need, (lambda: not shutil.which(need), f"no {need} here"))
        if is_missing():
            return why
    return None


def cannot_isolate():
    """What unshare(1) says where it may not make namespaces; None where it may."""
    if os.geteuid() != 0:
        ISOLATE[1:1] = ["--user", "--map-root-user"]
    tried = subprocess.run([*ISOLATE, "true"], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode != 0 else None


def play(row, action, options):
    """Returns what stage.py said, and the folder of the run."""
    folder = tempfile.mkdtemp(prefix="closewait-verdict.")
    os.chmod(folder, 0o777)
    try:
        played = subprocess.run([*ISOLATE, sys.executable, "-I", str(HERE / "stage.py")],
                                cwd=folder, capture_output=True, text=True,
                                input=json.dumps([row, action, options.grace, options.wait]),
                                timeout=PLAY_S + options.wait)
        told = json.loads(played.stdout) if played.returncode == 0 else {"broken": played.stderr}
    except subprocess.TimeoutExpired:
        told = {"broken": "it was never over"}
    return told, folder


def verdicts_of(records):
    return ({record["class"] for record in records if record["type"] == "leak"} |
            {"accept-queue" for record in records if record["type"] == "accept-queue"})


def reaps_of(records):
    return sum(record["type"] == "reap" and record["outcome"] != "failed" for record in records)


def comparable(said, cut):
    """After a reap that cuts off a late answer, the ends may hear of it, the peer at any time; before
    the program's hold is over, and in how it ends, nothing may differ."""
    if not cut:
        return said
    return {end: re.sub(r"(?m)^held.*\n[^\0]*(?=^exit )", "", text)
            for end, text in said.items() if end.startswith("program")}


def faults(row, action, told, bare):
    """What is wrong with a run, a line each."""
    if "broken" in told:
        return [told["broken"]]
    if action is None:
        return [f"{end} said {text!r}" for end, text in told["said"].items()
                if re.search("(?m)^(end: |Traceback |exit 127)", text)]
    found = []
    expected = set() if row["verdict"] == "none" else set(row["verdict"].split(","))
    verdicts, reaps = verdicts_of(told["records"]), reaps_of(told["records"])
    may = row.get(action, "keep")
    if verdicts != expected:
        found.append(f"the verdict is {','.join(sorted(verdicts)) or 'none'}, not {row['verdict']}")
    if reaps and may == "keep":
        found.append(f"a wrong reap ({reaps})")
    if not reaps and may in ("reap", "cut"):
        found.append("it was not reaped")
    lost = sum(record.get("lost", 0) for record in told["records"] if record["type"] == "summary")
    if lost:
        found.append(f"{lost} records were lost")
    cut = may == "cut"
    ours, theirs = comparable(told["said"], cut), comparable(bare.get("said", {}), cut)
    for end, text in ours.items():
        if text != theirs.get(end):
            found.append(f"{end} said {text!r}, and {theirs.get(end)!r} without the shim")
    return found


class Count:
    wrong = right_reaps = wrong_reaps = 0


def judge(row, action, told, folder, bare, count):
    found = faults(row, action, told, bare)
    reaps = reaps_of(told.get("records", []))
    if row.get(action, "keep") == "keep":
        count.wrong_reaps += reaps
    else:
        count.right_reaps += reaps
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
        return
    count.wrong += 1
    print(f"wrong: {row['name']}: action={action}, see {folder}", flush=True)
    for fault in found:
        print(f"    {fault}", flush=True)


def play_turns(rows, actions, turns, options, hear):
    """Each row in each action, so many times, all at once: a slow one keeps none waiting."""
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(play, row, action, options): (number, action)
                for _ in range(turns) for number, row in enumerate(rows) for action in actions}
        for done, run in enumerate(concurrent.futures.as_completed(runs), 1):
            hear(*runs.pop(run), *run.result(), done)


def play_rounds(rows, options, count):
    """Once without the shim and in all actions; in further rounds those that close something."""
    bare, first = {}, []

    def hear_first(number, action, told, folder, _):
        if action is None:
            bare[number] = told
        first.append((number, action, told, folder))

    def hear(number, action, told, folder, done):
        judge(rows[number], action, told, folder, bare[number], count)
        if done % (len(rows) * len(REAPING)) == 0:
            print(f"{done} more runs: {count.wrong} wrong, {count.wrong_reaps} wrong reaps so far",
                  file=sys.stderr, flush=True)

    play_turns(rows, ACTIONS, 1, options, hear_first)
    for number, action, told, folder in first:
        judge(rows[number], action, told, folder, bare[number], count)
    play_turns(rows, REAPING, options.rounds - 1, options, hear)


def chosen(options):
    """The rows that are asked for and can be played; of the others, why not."""
    rows = []
    for row in read_table(HERE / "table"):
        if options.patterns and not any(part in row["name"] for part in options.patterns):
            continue
        if options.quick and "quick" not in row["needs"]:
            continue
        lack = lacks(row)
        if lack:
            print(f"skipped: {row['name']}: {lack}")
        else:
            rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--grace", type=int, default=1000, help="milliseconds")
    parser.add_argument("--wait", type=int, default=0,
                        help="seconds for which what must not be closed is waited for, at least")
    parser.add_argument("--quick", action="store_true", help="only the rows marked so")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    build = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
    os.environ["BUILD"] = str(build)
    os.environ["PATH"] = f"{build}/tests/verdicts:{os.environ['PATH']}:/usr/sbin"

    why_not = cannot_isolate()
    if why_not:
        print(f"skipped: all: no network namespaces here: {why_not}")
        return 0
    rows = chosen(options)
    count = Count()
    play_rounds(rows, options, count)
    print(f"{len(rows)} scenarios, {options.rounds} rounds, {count.wrong} wrong, "
          f"reaps: {count.right_reaps} right, {count.wrong_reaps} wrong")
    return 1 if count.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
