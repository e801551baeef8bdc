#!/usr/bin/env bash
# The leaker's ways through the shim under memcheck and helgrind: no error of ours. BUILD names the
# build tree. Ends with "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
here=$(dirname "$0")
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
passed=0
failed=0

# A peer that hangs up at once, on a free port, which it prints; it lives for a minute at most.
python3 -c '
import socket, signal
signal.alarm(60)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    client.close()
' >"$work/port" &
until [ -s "$work/port" ]; do sleep 0.05; done
port=$(cat "$work/port")
own=$((20000 + RANDOM % 10000))

check() { # TOOL STEP...
    local tool=$1
    shift
    # Each step "wait" goes on after the watcher had time to look and to act.
    for _ in "$@"; do sleep 1.5; echo; done |
        LD_PRELOAD=$build/libclosewait.so CLOSEWAIT_OPTIONS=action=close,grace=200ms,output=$work/report \
            timeout 60 valgrind --tool="$tool" -q --error-exitcode=99 \
            --suppressions="$here/helgrind.supp" "$build/tests/leaker" "$@" >"$work/log" 2>&1
    if [ $? -eq 99 ] || ! grep -q "did ${!#}" "$work/log"; then
        failed=$((failed + 1))
        echo "not ok $tool $*"
        sed 's/^/    /' "$work/log" | head -n 40
    else
        passed=$((passed + 1))
        echo "ok $tool $*"
    fi
}

for tool in memcheck helgrind; do
    check $tool "connect4=$port" wait probe close
    check $tool "connect4=$port" drain wait close
    check $tool "connect4=$port" dup2=77 wait close
    check $tool "connect4=$port" fork wait close
    check $tool "connect4=$port" vfork exec wait nothing
    check $tool "from=$own" "connect4=$port" wait "connect4=$port" close
done
grep -q ': reap: ' "$work/report" || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
