#!/usr/bin/env python3
"""closewait report on logs of the size that a fleet writes: 10 million records of 1,000 processes in
less than 200 MiB, from a pipe; a million of them in less time than jq takes to group them by call
site; with a torn end, and with a bar on a terminal. BUILD names the build tree, LINES how many
records. Ends with "N passed, N failed".
"""
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time

BUILD = os.path.realpath(os.environ.get('BUILD', 'build'))
LINES = int(os.environ.get('LINES', 10_000_000))
FEWER, PAIRS, MOST_KIB = 1_000_000, 3, 200 * 1024
RECORDS, REPORT = f'{BUILD}/tests/records', [f'{BUILD}/closewait', 'report']
GROUP = '[inputs | select(.type == "leak") | .site] | group_by(.) | map([.[0], length])'
passed = failed = 0


def expect(what, holds):
    global passed, failed
    passed += holds
    failed += not holds
    print('ok' if holds else 'not ok', what)


def run(command, stdin=None):
    """What it prints, its peak of memory in KiB, its processor time and its time in seconds."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return out.read(), usage.ru_maxrss, usage.ru_utime + usage.ru_stime, time.monotonic() - began


def bounded(form):
    """The generator's own memory, one count a process and site, is not in it."""
    records = subprocess.Popen([RECORDS, str(LINES), '1000', '500'], stdout=subprocess.PIPE)
    said, peak, cpu, seconds = run([*REPORT, f'--format={form}', '-'], records.stdout)
    records.stdout.close()
    expect(f'{LINES} records from a pipe as {form}: {peak / 1024:.1f} MiB, {cpu:.1f} s of processor time, '
           f'{seconds:.1f} s', records.wait() == 0 and peak < MOST_KIB)
    return said


def as_jq_groups(log):
    mine, theirs = [], []
    for _ in range(PAIRS):
        said, _, cpu, _ = run([*REPORT, '--format=json', log])
        mine.append(cpu)
        grouped, _, cpu, _ = run(['jq', '-n', GROUP, log])
        theirs.append(cpu)
    sites = {group['site']: sum(group['class'].values()) for group in json.loads(said)}
    expect('jq groups the same call sites, and as many leaks of each', sites == dict(json.loads(grouped)))
    ratios = sorted(a / b for a, b in zip(mine, theirs))
    expect(f'{FEWER} records take {ratios[PAIRS // 2]:.2f} of the processor time that jq takes', ratios[-1] < 1)
    return said


def torn(log, whole):
    with open(log, 'r+b') as file:
        file.truncate(os.path.getsize(log) - 20)
    said = run([*REPORT, '--format=json', log])[0].decode()
    expect('a torn last line is told', said.startswith(f'closewait report: 1 line of {log} is not closewait\'s '
                                                       f'JSON: line {FEWER}\n'))
    groups = json.loads(said.split('\n', 1)[1])
    expect('and costs nothing else', len(groups) == len(json.loads(whole)))


def bar(log):
    """What a terminal sees that is its standard error alone."""
    ours, terminal = pty.openpty()
    with subprocess.Popen([*REPORT, log], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal,
                          env={'TERM': 'xterm'}) as process:
        os.close(terminal)
        seen = b''
        try:
            while got := os.read(ours, 65536):
                seen += got
        except OSError:
            pass
        process.wait()
    shares = [int(share) for share in re.findall(rb'\r.*?(\d+) % \[', seen)]
    expect(f'a bar goes from {shares[:1]} to {shares[-1:]} %', len(shares) > 3 and shares == sorted(shares) and
           shares[-1] > 50 and shares[-1] <= 100)
    expect('and is erased', b'\r\x1b[K' in seen and seen.rindex(b'\r\x1b[K') > seen.rindex(b' % ['))


def main():
    text = bounded('text').decode()
    expect('it counts what there is', bool(re.search(r'\ntotal: 500 call sites in 1000 processes: \d+ leaked', text)))
    bounded('html')
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        log = f'{folder}/log'
        with open(log, 'wb') as to:
            subprocess.run([RECORDS, str(FEWER), '1000', '500'], stdout=to, check=True)
        whole = as_jq_groups(log)
        bar(log)
        torn(log, whole)
    print(f'{passed} passed, {failed} failed')
    sys.exit(failed > 0)


main()
