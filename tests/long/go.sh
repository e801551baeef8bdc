#!/usr/bin/env bash
# Programs in Go: the story's client connects at both takes, ROUNDS of ROUNDS; reap finds exactly what ss
# shows; and a busy server loses its leaks and not a byte. Static under closewait run, dynamic with
# LD_PRELOAD alone. BUILD names the build tree; ROUNDS and BUSY_SECONDS may be set.
# Ends with "N passed, N failed".
# shellcheck disable=SC2317 # what try calls
set -u
build=$(realpath "${BUILD:-build}")
# shellcheck source=tests/long/checks.sh
source "$(dirname "$0")/checks.sh"
rounds=${ROUNDS:-20}
seconds=${BUSY_SECONDS:-10}
work=$(mktemp -d)
pids=
clean_up() {
    # shellcheck disable=SC2086
    [ -n "$pids" ] && kill $pids && wait $pids
    rm -rf "$work"
} 2>/dev/null
trap clean_up EXIT
trap 'exit 130' INT TERM

try() { # WHAT CONDITION...: which may say what it counted
    "${@:2}"
    verdict $? "$1" "$work"/*.out
}

# Of the ports below those that the kernel gives, one that nobody uses.
port=20000
take_port() {
    port=$((port + 1))
    while [ -n "$(ss -Htan "sport = :$port")" ]; do
        port=$((port + 1))
    done
}

under_run() { # GRACE FORMAT PROGRAM...
    timeout 60 "$build/closewait" run --action=close "--grace=$1" "--format=$2" -- "${@:3}"
}

under_preload() { # the same
    timeout 60 env "LD_PRELOAD=$build/libclosewait.so" \
        "CLOSEWAIT_OPTIONS=action=close,grace=$1,format=$2" "${@:3}"
}

# 1. The client, all rounds at the same time, each from a port of its own.
clients() { # HOW LINKED
    local round rounds_pids=
    for round in $(seq "$rounds"); do
        take_port
        "$1" 1s text "$build/demo/go/client-$2" "$server_port" "$port" 3 >"$work/$round.client" 2>&1 &
        rounds_pids="$rounds_pids $!"
    done
    good=0
    round=0
    for pid in $rounds_pids; do
        round=$((round + 1))
        wait "$pid" && grep -q '^take 2: connected' "$work/$round.client" &&
            grep -q ': reap: fd ' "$work/$round.client" && good=$((good + 1))
    done
    cp "$work/1.client" "$work/client.out"
    echo "   $good of $rounds connected at both takes"
    [ "$good" -eq "$rounds" ]
}

take_port
server_port=$port
"$build/demo/go/server" "$server_port" 0 >"$work/server.out" 2>&1 &
pids=$!
await 10 grep -q listening "$work/server.out"
try 'static client under closewait run' clients under_run static
try 'dynamic client with LD_PRELOAD alone' clients under_preload dynamic
rm "$work"/*.out

# 2. A server that leaks 50 connections and has 5 that live.
leaking_server() {
    local fd i
    mkfifo "$work/in"
    "$build/tests/go-server" <"$work/in" >"$work/go-server.out" 2>&1 &
    leaking=$!
    pids="$pids $leaking"
    exec 3>"$work/in"
    await 10 grep -q '^port' "$work/go-server.out" || return
    server_port=$(sed -n 's/^port //p' "$work/go-server.out")
    for i in $(seq 50); do
        exec {fd}<>"/dev/tcp/127.0.0.1/$server_port"
        printf L >&"$fd"
        exec {fd}>&-
    done
    living=()
    for i in $(seq 5); do
        exec {fd}<>"/dev/tcp/127.0.0.1/$server_port"
        printf 'Ehello %d\n' "$i" >&"$fd"
        living+=("$fd")
    done
    await 10 leaks 50
}

ss_shows() { ss -Htnp state close-wait | awk -v pid="pid=$leaking," 'index($0, pid) { print $3, "->", $4 }' | sort; }
leaks() { [ "$(ss_shows | wc -l)" -eq "$1" ]; }

reap_shows() {
    "$build/closewait" reap --dry-run --grace=1ms "$leaking" >"$work/reap.out" &&
        sed -n 's/^closewait: .*: fd [0-9]*  \(.*\)  CLOSE_WAIT$/\1/p' "$work/reap.out" | sort
}

same_as_ss() { [ "$(ss_shows)" = "$(reap_shows)" ] && [ "$(grep -c 'would be closed' "$work/reap.out")" -eq 50 ]; }

none_left() { "$build/closewait" reap --all --grace=1ms "$leaking" >"$work/reap.out" && leaks 0; }

# Each still says what it was told before, and what it is told now.
still_served() {
    local fd line i=0
    for fd in "${living[@]}"; do
        i=$((i + 1))
        printf 'again\n' >&"$fd"
        read -r -t 5 line <&"$fd" && [ "$line" = "hello $i" ] &&
            read -r -t 5 line <&"$fd" && [ "$line" = again ] || return 1
    done
}

try 'a leaking server' leaking_server
try 'reap --dry-run lists exactly what ss shows' same_as_ss
try 'reap --all leaves none of it' none_left
try 'the connections that live are served as before' still_served
rm "$work"/*.out

# 3. A thousand goroutines that exchange bytes, and a hundred leaks.
# The leaks are those that lead to the listener that hangs up: the first report names it.
no_leak_to() { [ -z "$(ss -Htn state close-wait "dport = :$1")" ]; }

busy() { # HOW LINKED
    local server hangs_up
    closed=no
    "$1" 500ms json "$build/tests/go/busy-$2" 1000 100 "$seconds" >"$work/busy.out" 2>"$work/report.out" &
    server=$!
    if await 10 grep -q '"type":"reap"' "$work/report.out"; then
        hangs_up=$(sed -n 's/.*"peer":"127.0.0.1:\([0-9]*\)".*/\1/p' "$work/report.out" | head -n 1)
        await 10 no_leak_to "$hangs_up" && kill -0 "$server" && closed=yes
    fi
    wait "$server" || return
    sed 's/^/   /' "$work/busy.out"
    grep -q ', every byte right$' "$work/busy.out"
}

all_closed() { [ "$closed" = yes ]; }

try 'static busy server under closewait run: every byte right' busy under_run static
try 'static busy server: its 100 leaks are closed' all_closed
try 'dynamic busy server with LD_PRELOAD alone: every byte right' busy under_preload dynamic
try 'dynamic busy server: its 100 leaks are closed' all_closed

sum_up
