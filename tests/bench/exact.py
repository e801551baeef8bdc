"""The exact figures of the last commit that changed any, in exact.txt, and what has become of them."""

import os
import pathlib
import subprocess

FILE = pathlib.Path(__file__).with_name("exact.txt")
HEAD = """\
# What make bench QUICK=1 compares with: it fails when a figure has grown. Instructions are those that
# the shim adds to a call over the pass-through preload, system calls those that it adds to the bare
# program. When a figure is smaller, or has grown for a good reason: make bench RENEW=1, and commit.
# Another compiler makes other code: then the instructions are not compared.
"""


def made_by():
    """The compiler and its flags, as the Makefile gives them. The first word is the command's own
    name for itself."""
    cc = os.environ.get("CC", "cc").split()
    said = subprocess.run([*cc, "--version"], capture_output=True, text=True, check=True).stdout
    version = said.splitlines()[0].removeprefix(os.path.basename(cc[0])).strip()
    return f"{version} {os.environ.get('CFLAGS', '')}".strip()


def rounded(figure):
    """A call's figure is whole, but for what happens once in a thousand calls."""
    return round(figure)


def renew(figures):
    """Of parts that were not measured the known figures stay."""
    figures = {**known()[1], **figures}
    lines = [f"{rounded(figure):6}  {name}\n" for name, figure in figures.items()]
    FILE.write_text(f"{HEAD}made by: {made_by()}\n{''.join(lines)}")
    print(f"{FILE}: {len(lines)} figures written")


def known():
    """The line that says what the figures were made by, and the figures."""
    by, figures = "", {}
    for line in FILE.read_text().splitlines():
        if line.startswith("made by: "):
            by = line.removeprefix("made by: ")
        elif line.strip() and not line.startswith("#"):
            figure, name = line.split(None, 1)
            figures[name] = int(figure)
    return by, figures


def has_grown(figures):
    """Says what differs from the file, and whether any figure is greater."""
    by, before = known()
    other = by != made_by()
    if other:
        print(f"instructions are not compared: the known ones are by {by}, and these by {made_by()}")
    grown = False
    for name, figure in figures.items():
        if other and name.startswith("instructions: "):
            continue
        now, then = rounded(figure), before.get(name)
        if then is None:
            print(f"not in {FILE.name}: {name}: {now}")
        elif now > then:
            print(f"grown: {name}: {now}, and was {then}")
            grown = True
        elif now < then:
            print(f"smaller: {name}: {now}, and was {then}: make bench RENEW=1")
    return grown
