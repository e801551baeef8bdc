"""What a program is run under, side by side: nothing, three kinds of preload, and the tools that a
user would pick instead."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import time

BUILD = pathlib.Path(os.environ.get("BUILD", "build")).resolve()
SHIM = BUILD / "libclosewait.so"


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    preload: str = ""   # a file under BUILD
    options: str = ""   # CLOSEWAIT_OPTIONS
    before: tuple = ()  # a command that the program's is appended to
    beside: tuple = ()  # a command that runs meanwhile

    @property
    def is_tool(self):
        return bool(self.before or self.beside)

    @property
    def is_ours(self):
        return self.preload == SHIM.name

    def argv(self, command):
        return [*self.before, *map(str, command)]

    def environment(self, **more):
        """Little, and the same for all: its length moves the stack."""
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **more}
        if self.preload:
            env["LD_PRELOAD"] = str(BUILD / self.preload)
        if self.is_ours:
            env["CLOSEWAIT_OPTIONS"] = f"{self.options},output=/dev/null"
        return env

    def lacks(self):
        """Why this machine cannot run it; None when it can."""
        if self.beside:
            return cannot_trace()
        tool = self.before[0] if self.before else ""
        return f"no {tool} here" if tool and not shutil.which(tool) else None


def ours(action, stack):
    name = action if stack else f"{action}, stack=0"
    return Peer(name, SHIM.name, f"action={action}" + ("" if stack else ",stack=0"))


BARE = Peer("nothing")
EMPTY = Peer("empty preload", "tests/bench/empty.so")
FORWARD = Peer("pass-through", "tests/bench/forward.so")
OURS = tuple(ours(action, stack) for stack in (16, 0) for action in ("log", "close-dead", "close"))
LOG = OURS[0]
PRELOADS = (BARE, EMPTY, FORWARD, *OURS)

SCRIPT = """tracepoint:sock:inet_sock_set_state
/args->protocol == 6/ { @[pid, args->oldstate, args->newstate, ustack] = count(); }"""
BPFTRACE = Peer("bpftrace", beside=("bpftrace", "-e", SCRIPT))
TOOLS = (
    Peer("strace", before=("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=network,close")),
    Peer("ltrace", before=("ltrace", "-f", "-o", "/dev/null")),
    Peer("valgrind", before=("valgrind", "-q", "--track-fds=yes", "--log-file=/dev/null")),
    BPFTRACE,
)


class Beside:
    """What a peer needs to have running beside the program, from here to the end of the block."""

    def __init__(self, peer):
        self.command = peer.beside
        self.process = None

    def __enter__(self):
        if self.command:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            text=True)
            lines = iter(self.process.stdout.readline, "")
            if not any(line.startswith("Attaching") for line in lines):
                raise OSError(f"bpftrace ended with status {self.process.wait()}")
            time.sleep(1)  # it says nothing when it has attached
        return self

    def __exit__(self, *_):
        """Its counts are not wanted, and it can miss a SIGTERM just before it waits for events."""
        if self.process:
            self.process.kill()
            self.process.communicate()


_why_not_trace = []


def cannot_trace():
    """Why bpftrace cannot trace here; asked once."""
    if _why_not_trace:
        return _why_not_trace[0]
    why = None
    if not shutil.which("bpftrace"):
        why = "no bpftrace here"
    else:
        tried = subprocess.run(["bpftrace", "-e", SCRIPT, "-c", "/bin/true"],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True,
                               timeout=60, check=False)
        if tried.returncode != 0:
            said = [line for line in tried.stderr.splitlines() if "ERROR" in line]
            why = said[-1] if said else f"exit status {tried.returncode}"
    _why_not_trace.append(why)
    return why
