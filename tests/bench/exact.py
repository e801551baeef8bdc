"""The exact figures of the last commit that changed any, in exact.txt, and what has become of them."""

import os
import pathlib
import subprocess

from peers import OURS

FILE = pathlib.Path(__file__).with_name("exact.txt")
HEAD = f"""\
# What make bench QUICK=1 compares with: it fails when a figure has grown. Instructions are those that
# the shim adds to a call over the pass-through preload, system calls those that it adds to the bare
# program. When a figure is smaller, or has grown for a good reason: make bench RENEW=1, and commit.
# Another compiler makes other code: then the instructions are not compared.
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


def renew(figures):
    """Of parts that were not measured the known figures stay."""
    rows = known()[1] | figures
    lines = ["".join(f"{figure:5}" for figure in each) + f"  {name}\n" for name, each in rows.items()]
    FILE.write_text(f"{HEAD}made by: {made_by()}\n{''.join(lines)}")
    print(f"written: {FILE}: {len(lines)} rows")


def has_grown(figures):
    """Says what differs from the file, and whether any figure is greater."""
    by, before = known()
    other = by != made_by()
    if other:
        print(f"instructions are not compared: the known ones are of {by}, these of {made_by()}")
    grown = False
    for name, now in figures.items():
        then = before.get(name)
        if other and name.startswith("instructions: "):
            continue
        if then is None:
            print(f"not in {FILE.name}: {name}: {now}")
        elif now != then:
            worse = any(new > old for new, old in zip(now, then))
            print(f"{'grown' if worse else 'smaller'}: {name}: {now}, and was {then}")
            grown |= worse
    return grown
