#!/usr/bin/python3
"""Plays one scenario once, in network and process namespaces that run.py made for it and that end
with it: nothing that is started here outlives it, and its ports are its own.

Standard input: the row, the action (None: without the shim), the grace in ms and for how long a
reap that must not come is waited for, in s, as JSON. Standard output: the records of the shim and
what each end said, as JSON. The folder is the current one.
"""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = os.environ["BUILD"]
PATIENCE_S = 15
PROBES_S = 4  # keepalive's smallest idle time and interval are 1 s: long enough for two probes


def shell(text, enter=()):
    subprocess.run([*enter, "sh", "-ec", text], check=True)


# What a closed peer leaves behind is gone after one second then, and not after 60.
BEGIN = "echo 1 >/proc/sys/net/ipv4/tcp_fin_timeout; ip link set lo up"
MAC = "02:00:00:00:00:0"


def wire(device, own, other):
    """Nothing here asks by ARP: a host that vanishes is not heard of again."""
    return (f"ip address add 10.9.0.{own}/24 dev {device}; ip link set {device} up;"
            f"ip neighbour replace 10.9.0.{other} lladdr {MAC}{other} dev {device} nud permanent")


def lay_out(needs):
    """The peers of a row that needs "far" are beyond a veth, as host 10.9.0.2. Returns what takes
    a command there."""
    shell(BEGIN)
    if "far" not in needs:
        return []
    other = subprocess.Popen(["unshare", "--net", "sh", "-ec", f"{BEGIN}; echo; exec sleep inf"],
                             stdout=subprocess.PIPE)
    other.stdout.readline()
    enter = ["nsenter", f"--net=/proc/{other.pid}/ns/net"]
    shell(f"ip link add near address {MAC}1 type veth peer name far address {MAC}2 "
          f"netns {other.pid}")
    shell(wire("near", 1, 2))
    shell(wire("far", 2, 1), enter)
    return enter


class End:
    """A process of the scenario, with its output in a file. One whose command ends with "&" goes
    on until the others are done."""

    def __init__(self, name, text, environment, enter=()):
        self.log = pathlib.Path(name)
        self.stays = text.endswith("&")
        argv = (["bash", "-c", text[1:].rstrip("&")] if text.startswith("$")
                else ["end", *shlex.split(text)])
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*enter, *argv], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment, start_new_session=True)

    def is_over(self):
        return self.process.poll() is not None

    def said(self):
        status = "" if self.stays else f"exit {self.process.returncode}\n"
        return self.log.read_text(errors="backslashreplace") + status

    def stop(self):
        if not self.is_over():
            os.killpg(self.process.pid, signal.SIGTERM)


def records():
    """What the shim has written so far, whole lines only."""
    text = pathlib.Path("records").read_text(errors="surrogateescape")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def is_reap(record):
    return record["type"] == "reap" and record["outcome"] != "failed"


def verdict_of(record):
    return record["class"] if record["type"] == "leak" else record["type"]


class Patience:
    """When has the shim had its chance? A verdict and a reap that must come are waited for; what
    must not come gets the time in which it would have."""

    def __init__(self, row, action, grace_s, wait_s):
        self.may_reap = row[action] if action in ("close", "close-dead") else "keep"
        self.expects = set(row["verdict"].split(",")) if action else {"none"}
        self.grace_s = grace_s
        self.quiet_s = grace_s + (grace_s if self.expects == {"none"} else 0)
        if action == "close-dead":
            self.quiet_s += PROBES_S
        if action is not None and self.may_reap == "keep":
            self.quiet_s = max(self.quiet_s, wait_s)
        self.patience_s = PATIENCE_S + self.quiet_s
        self.started = time.monotonic()
        self.since = None

    def is_over(self):
        now = time.monotonic()
        if now - self.started > self.patience_s:
            return True
        known = records()
        if self.expects != {"none"}:
            if not self.expects <= set(map(verdict_of, known)):
                return False
            if self.may_reap in ("reap", "cut"):
                return any(map(is_reap, known))
        elif not os.path.exists("holding"):
            return False
        self.since = self.since or now
        return now - self.since > self.quiet_s


def play(row, action, grace_ms, wait_s):
    enter = lay_out(row["needs"])
    bare = dict(os.environ, HERE=str(HERE), PATH=f"{HERE}:{os.environ['PATH']}", LC_ALL="C.UTF-8",
                GRACE_MS=str(grace_ms), PATIENCE_S=str(60 + wait_s), PYTHONUNBUFFERED="1")
    pathlib.Path("records").touch(0o666)
    os.chmod("records", 0o666)
    shim = dict(bare)
    if action is not None:
        shim["LD_PRELOAD"] = f"{BUILD}/libclosewait.so"
        shim["CLOSEWAIT_OPTIONS"] = (f"action={action},grace={grace_ms}ms,format=json,"
                                     f"output={os.getcwd()}/records")
    patience = Patience(row, action, grace_ms / 1000, wait_s)
    ends = [End(f"program.{n}", text, shim) for n, text in enumerate(row["program"], 1)]
    ends += [End(f"peer.{n}", text, bare, enter) for n, text in enumerate(row["peer"], 1)]

    def are_over():
        return all(end.is_over() for end in ends if not end.stays)

    while not patience.is_over() and not are_over():
        time.sleep(0.02)
    pathlib.Path("judged").touch()
    deadline = time.monotonic() + PATIENCE_S
    while not are_over() and time.monotonic() < deadline:
        time.sleep(0.02)
    for end in ends:
        end.stop()
    for end in ends:
        try:
            end.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(end.process.pid, signal.SIGKILL)
            end.process.wait()
    return {"records": records(), "said": {end.log.name: end.said() for end in ends}}


if __name__ == "__main__":
    print(json.dumps(play(*json.load(sys.stdin))))
