"""The exact figures of the last commit that changed any, in exact.txt, and what has become of them."""

import os
import pathlib
import subprocess

from peers import OURS

PARTS = {"instructions": "instructions", "syscalls": "system calls"}  # what a part's rows begin with
FILE = pathlib.Path(__file__).with_name("exact.txt")
HEAD = f"""\
# What make bench QUICK=1 compares with: it fails when a figure has grown, and when a row is in one
# of the two alone. Instructions are those that the shim adds to a call over the pass-through preload,
# system calls those that it adds to the bare program. When a figure is smaller, or has grown for a
# good reason: make bench RENEW=1, and commit. Another compiler makes other code: then the
# instructions are not compared.
#
# The columns: {'; '.join(peer.name for peer in OURS)}.
"""


def made_by():
    """The compiler and its flags, as the Makefile gives them. The first word is the command's own
    name for itself."""
    cc = os.environ.get("CC", "cc").split()
    said = subprocess.run([*cc, "--version"], capture_output=True, text=True, check=True).stdout
    version = said.splitlines()[0].removeprefix(os.path.basename(cc[0])).strip()
    return f"{version} {os.environ.get('CFLAGS', '')}".strip()


def known():
    """The line that says what the figures were made by, and the figures of each row."""
    by, rows = "", {}
    for line in FILE.read_text().splitlines() if FILE.exists() else ():
        if line.startswith("made by: "):
            by = line.removeprefix("made by: ")
        elif line.strip() and not line.startswith("#"):
            *figures, name = line.split(None, len(OURS))
            rows[name] = list(map(int, figures))
    return by, rows


def measured_by(parts, rows):
    """The names of those rows that these parts measure."""
    kinds = [PARTS.get(part) for part in parts]
    return [name for name in rows if name.partition(": ")[0] in kinds]


def renew(parts, figures):
    """Of parts that were not measured the known figures stay."""
    rows = known()[1]
    for name in measured_by(parts, rows):
        if name not in figures:
            del rows[name]
    rows |= figures
    lines = ["".join(f"{figure:5}" for figure in each) + f"  {name}\n" for name, each in rows.items()]
    FILE.write_text(f"{HEAD}made by: {made_by()}\n{''.join(lines)}")
    print(f"written: {FILE}: {len(lines)} rows")


def has_failed(parts, figures):
    """Says what differs from the file; whether a figure is greater, or a row is not in both."""
    by, before = known()
    other = by != made_by()
    if other:
        print(f"instructions are not compared: the known ones are of {by}, these of {made_by()}")
    failed = False
    for name, now in figures.items():
        then = before.get(name)
        if then is None:
            print(f"not known: {name}: {now} is not in {FILE.name}; RENEW=1 adds it")
            failed = True
        elif now != then and not (other and name.startswith(f"{PARTS['instructions']}: ")):
            worse = any(new > old for new, old in zip(now, then))
            print(f"{'grown' if worse else 'smaller'}: {name}: {now}, and was {then}")
            failed |= worse
    for name in measured_by(parts, before):
        if name not in figures:
            print(f"not measured: {name}, which is in {FILE.name}; RENEW=1 removes it")
            failed = True
    return failed
