#!/usr/bin/env bash
# Reports in systemd's journal: a real systemd-journald, in a mount namespace with a /run of its own,
# and what journalctl then finds. BUILD names the build tree. Ends with "N passed, N failed".
set -u
if [ "${1:-}" != inside ]; then
    exec unshare --mount --propagation private "$0" inside
fi
build=$(realpath "${BUILD:-build}")
# shellcheck source=tests/long/checks.sh
source "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
# What runs here are children of this shell, all of them.
# shellcheck disable=SC2046
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
mount -t tmpfs none /run && mount -t tmpfs none /var/log || exit 1
mkdir -p /run/systemd/journal /run/log/journal
if [ ! -s /etc/machine-id ]; then
    tr -d - </proc/sys/kernel/random/uuid >"$work/machine-id"
    touch /etc/machine-id && mount --bind "$work/machine-id" /etc/machine-id
fi
/lib/systemd/systemd-journald 2>"$work/journald" &
journald=$!

found() { # MATCH...: how many entries there are
    journalctl --directory=/run/log/journal --quiet --output=json "$@" >"$work/log" 2>&1
    grep -c . "$work/log"
}

holds() { # STATUS WHAT: shows the journal when it does not
    journalctl --directory=/run/log/journal --output=verbose >"$work/journal" 2>&1
    verdict "$1" "$2" "$work/journal"
}

found_are() { # COUNT MATCH...
    [ "$(found "${@:2}")" -eq "$1" ]
}

awaits() { # WHAT COUNT MATCH...
    await 15 found_are "${@:2}"
    holds $? "$1"
}

leak() { # COMMAND...: with the port of a peer that has hung up, until its input ends
    "$@" "connect4=$port" wait <"$work/input" >/dev/null 2>"$work/stderr" &
    leaker=$!
}

mkfifo "$work/input"
exec 3<>"$work/input"
python3 - >"$work/port" <<'PY' &
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    server.accept()[0].close()
PY
until [ -S /run/systemd/journal/socket ] && [ -s "$work/port" ]; do
    kill -0 $journald || exit 1
    sleep 0.1
done
port=$(cat "$work/port")

LD_PRELOAD=$build/libclosewait.so CLOSEWAIT_OPTIONS=output=journal,grace=100ms leak "$build/tests/leaker"
awaits "a report of the shim is found by its fields" 1 SYSLOG_IDENTIFIER=closewait CLOSEWAIT_TYPE=leak \
    CLOSEWAIT_CLASS=eof-unread "CLOSEWAIT_PEER=127.0.0.1:$port" PRIORITY=4
awaits "and by the program that sent it" 1 _PID=$leaker _EXE="$build/tests/leaker"
echo >&3
wait $leaker
awaits "its summary is another entry" 1 _PID=$leaker CLOSEWAIT_TYPE=summary PRIORITY=6
awaits "its lines are one entry" 2 _PID=$leaker

leak "$build/tests/leaker-static"
"$build/closewait" watch --output=journal --format=json --grace=100ms $leaker 2>"$work/watch" &
awaits "a report of watch is found by the process that it is about" 1 CLOSEWAIT_TYPE=leak \
    OBJECT_PID=$leaker OBJECT_EXE="$build/tests/leaker-static" _COMM=closewait
python3 -c 'import json, sys
leak = json.loads(json.loads(sys.stdin.readline())["MESSAGE"])
assert leak["type"] == "leak" and leak["comm"] == "leaker-static", leak' <"$work/log"
holds $? "and its message is an object"
echo >&3
wait $leaker

leak "$build/closewait" run --output=journal --grace=100ms "$build/tests/leaker"
awaits "a report of run has functions" 1 CLOSEWAIT_TYPE=leak _PID=$leaker
grep -q 'leaker\.c:' "$work/log"
holds $? "and lines"
echo >&3
wait $leaker

# As a unit does it with StandardError=journal and SyslogIdentifier=.
LD_PRELOAD=$build/libclosewait.so CLOSEWAIT_OPTIONS=format=json,grace=100ms \
    leak systemd-cat --stderr-priority=warning -t legacy "$build/tests/leaker"
awaits "standard error of a unit is one entry for each record" 1 SYSLOG_IDENTIFIER=legacy PRIORITY=4
echo >&3
wait $leaker
sum_up
