#!/usr/bin/env bash
# For how long closewait reap stops a process, as it says itself: REAPS reaps of one socket each, for
# each number of threads. A table of milliseconds; nothing is asserted. BUILD, REAPS and THREADS may be set.
set -u
build=${BUILD:-build}
reaps=${REAPS:-30}
work=$(mktemp -d)
pid=
clean_up() {
    [ -n "$pid" ] && kill "$pid" && wait "$pid"
    rm -rf "$work"
} 2>/dev/null
trap clean_up EXIT
trap 'exit 130' INT TERM

mkfifo "$work/silence"
exec 3<>"$work/silence"

leaked() { grep -q leaked "$work/fds"; }

start() { # THREADS
    "$build/tests/standing" "$1" "$reaps" <&3 >"$work/fds" &
    pid=$!
    for _ in $(seq 100); do
        leaked && break
        sleep 0.05
    done
    leaked || exit 1
    sleep 0.1 # more than grace
}

stop() {
    kill "$pid"
    wait "$pid" 2>/dev/null
    pid=
}

times() { # of each reap, in ms
    local fd
    while read -r fd && [ "$fd" != leaked ]; do
        "$build/closewait" reap --grace=1ms "$pid" "$fd" |
            sed -n 's/.*: stood still for \([0-9.]*\) ms.*/\1/p'
    done <"$work/fds"
}

printf 'threads  reaps  median ms  least ms  most ms\n'
for threads in ${THREADS:-1 10 100 1000}; do
    start "$threads"
    times | sort -n >"$work/times"
    awk -v threads="$threads" '{ ms[NR] = $1 }
        END { printf "%7d %6d %10.1f %9.1f %8.1f\n", threads, NR, ms[int((NR + 1) / 2)], ms[1], ms[NR] }' \
        "$work/times"
    stop
done
# Whoever else computes is in these times.
read -r load _ </proc/loadavg
printf 'load average: %s, on %d processors\n' "$load" "$(nproc)"
