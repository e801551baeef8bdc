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

reaps() {
    grep -cs ': reap: ' "$work/report"
}

# For the step "wait": a line when so many sockets were reaped; after 20 s without it, too.
go_on_after() { # REAPS
    for _ in $(seq 200); do
        [ "$(reaps)" -ge "$1" ] && break
        sleep 0.1
    done
    echo
}

check() { # TOOL REAPS STEP...
    local tool=$1 reaps=$2
    shift 2
    : >"$work/report"
    go_on_after "$reaps" |
        LD_PRELOAD=$build/libclosewait.so CLOSEWAIT_OPTIONS=action=close,grace=200ms,output=$work/report \
            timeout 60 valgrind --tool="$tool" -q --error-exitcode=99 \
            --suppressions="$here/helgrind.supp" "$build/tests/leaker" "$@" >"$work/log" 2>&1
    if [ $? -eq 99 ] || ! grep -q "did ${!#}" "$work/log" || [ "$(reaps)" -ne "$reaps" ]; then
        failed=$((failed + 1))
        echo "not ok $tool $*: $(reaps) of $reaps reaped"
        sed 's/^/    /' "$work/log" "$work/report" | head -n 40
    else
        passed=$((passed + 1))
        echo "ok $tool $*"
    fi
}

for tool in memcheck helgrind; do
    check $tool 1 "connect4=$port" wait probe close
    check $tool 1 "connect4=$port" drain wait close
    check $tool 2 "connect4=$port" dup2=77 wait close
    check $tool 1 "connect4=$port" fork wait close
    check $tool 1 "connect4=$port" vfork exec wait nothing
    check $tool 1 "from=$own" "connect4=$port" wait "connect4=$port" close
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
