"""Tells the tables and the verdicts: to the terminal, as JSON, and in docs/performance.md."""

import datetime
import json
import os
import pathlib
import platform
import re
import textwrap

from figures import columns_of_markdown, columns_of_text
from peers import BUILD

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/performance.md"
BEGIN, END = "<!-- what make bench writes -->", "<!-- until here -->"


def paragraph(text):
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


def show(table):
    print(f"\n{table.title}\n{paragraph(table.says)}\n")
    print("\n".join(columns_of_text(table.lines())))
    for why in table.lacking():
        print(f"skipped: {why}")
    print(flush=True)


def lines_of(verdicts):
    yield ["target", "at", "found", "verdict"]
    for verdict in verdicts:
        yield [verdict.what, verdict.target, verdict.found, verdict.text]


def show_verdicts(verdicts):
    if verdicts:
        print("\n".join(columns_of_text(lines_of(verdicts))), flush=True)


def machine():
    """What the figures were taken on, in words."""
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    return (f"{os.cpu_count()} processors ({cpu[1] if cpu else platform.machine()}), {memory:.0f} GiB, "
            f"Linux {platform.release()}, {release}, {' '.join(platform.libc_ver())}")


def write_json(bench):
    results = {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "load": os.getloadavg(),
        "rounds": bench.rounds,
        "tables": [{"title": table.title,
                    "rows": [{"name": name, "cells": {key: cell.plain() for key, cell in cells.items()}}
                             for name, cells in table.rows]} for table in bench.tables],
        "verdicts": [{"what": each.what, "target": each.target, "found": each.found,
                      "ok": not each.missed, "verdict": each.text} for each in bench.verdicts],
    }
    path = BUILD / "bench.json"
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(f"\nas JSON: {path}")


def page(bench):
    today = datetime.date.today().isoformat()
    yield f"Measured on {today}: {machine()}; {bench.rounds} rounds."
    yield "\n".join(columns_of_markdown(lines_of(bench.verdicts)))
    for table in bench.tables:
        yield f"## {table.title}"
        yield paragraph(table.says)
        yield "\n".join(columns_of_markdown(table.lines()))
        for why in table.lacking():
            yield f"Skipped: {why}"


def write_page(bench):
    """Only what lies between the two marks: the rest of the page is written by people."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + "\n\n".join([BEGIN, *page(bench), END]) + after)
    print(f"written: {PAGE}")
