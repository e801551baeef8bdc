#!/usr/bin/env bash
# What the demos share: a server and a client on ports that may be set (SERVER_PORT, CLIENT_PORT), the
# TCP states of both ends, and steps that must show what they say. BUILD may be set. Sourced.
set -u

build=${BUILD:-build}
server=$build/demo/server
server_port=${SERVER_PORT:-7070}
client_port=${CLIENT_PORT:-10001}
# shellcheck disable=SC2034 # the acts say it to the client
seconds=2 # between the client's two takes; the story had 5

work=$(mktemp -d)
server_pid=
client_pid=
failures=0

clean_up() {
    for pid in $client_pid $server_pid; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

heading() {
    printf '\n%s\n' "$1"
    printf '%s\n' "$1" | tr -c '\n' '-'
}

sockets_at() { # PORT: every socket with that local port
    ss -Htan "sport = :$1"
}

# The two ends as ss shows them: the client's, then the server's.
ends() {
    local c=$client_port s=$server_port
    ss -Htano "( sport = :$c and dport = :$s ) or ( sport = :$s and dport = :$c )" |
        awk -v server=":$s" '{
            who = $4 ~ server "$" ? "server" : "client"
            printf "    %s  %-11s %s -> %s %s\n", who, $1, $4, $5, $6 }' | sort
}

show_states() { # TITLE
    printf '  %s\n' "$1"
    local now
    now=$(ends)
    printf '%s\n' "${now:-    (no connection)}"
}

# Polls until CONDITION holds; a step that does not come about within 5 s is a failure.
await() { # WHAT CONDITION...
    local what=$1
    shift
    for _ in $(seq 100); do
        "$@" && return 0
        sleep 0.05
    done
    missed "$what"
}

missed() {
    printf '  DEMO FAILED: %s\n' "$1"
    failures=$((failures + 1))
}

client_is() { ends | grep -q "client  $1"; }
server_is() { ends | grep -q "server  $1"; }
client_is_gone() { ! ends | grep -q 'client '; }
printed() { grep -q "$1" "$work/out"; }
must_print() { printed "$1" || missed "expected '$1' in what the client printed"; }
must_not_print() { ! printed "$1" || missed "did not expect '$1' in what the client printed"; }

need_free() { # PORT SOCKETS: those that are in its way
    [ -z "$2" ] && return
    printf 'demo: port %s is taken by somebody else:\n%s\n' "$1" "$2" >&2
    printf 'demo: try again when it is free, or choose others: make demo SERVER_PORT=... CLIENT_PORT=...\n' >&2
    exit 1
}

start_server() { # SECONDS: for which it keeps a connection
    "$server" "$server_port" "$@" >"$work/server" 2>&1 &
    server_pid=$!
    await "the server listens" grep -q listening "$work/server"
}

stop_server() {
    kill "$server_pid" && wait "$server_pid" 2>/dev/null
    server_pid=
}

start_client() { # COMMAND...
    printf '  $'
    printf ' %s' "$@"
    printf '\n'
    "$@" >"$work/out" 2>&1 &
    client_pid=$!
    await "take 1 connects" printed 'take 1: connected'
}

finish_client() {
    wait "$client_pid"
    client_status=$?
    client_pid=
    printf '  what it printed, and its exit status:\n'
    sed 's/^/    /' "$work/out"
    printf '    [%d]\n' "$client_status"
}

must_end_with() { # STATUS
    [ "$client_status" -eq "$1" ] || missed "expected exit status $1"
}

# A port of the client's that nothing has used yet: the acts leave theirs in TIME_WAIT.
take_another_port() {
    client_port=$((client_port + 1))
    while [ -n "$(sockets_at "$client_port")" ]; do
        client_port=$((client_port + 1))
    done
    printf '  (own port %s: this leaves it in TIME_WAIT)\n' "$client_port"
}

# The ports must be nobody's, and the server runs.
open_curtain() {
    need_free "$server_port" "$(ss -Htln "sport = :$server_port")"
    need_free "$client_port" "$(sockets_at "$client_port")"
    start_server 0
}

close_curtain() {
    if [ "$failures" -gt 0 ]; then
        printf '\ndemo: %d of its steps did not show what they must\n' "$failures"
        exit 1
    fi
    printf '\ndemo: every step showed what it must\n'
}
