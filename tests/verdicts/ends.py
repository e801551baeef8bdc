"""What tests/verdicts/end.c does, for ends that are written in Python."""

import os
import time

HOST, PORT = "127.0.0.1", 7070
GRACE_S = int(os.environ["GRACE_MS"]) / 1000
PATIENCE_S = int(os.environ["PATIENCE_S"])


def tell(name):
    open(name, "a").close()


def wait_for(name):
    deadline = time.monotonic() + PATIENCE_S
    while not os.path.exists(name):
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.005)


def hold():
    tell("holding")
    wait_for("judged")
    print("held", flush=True)
