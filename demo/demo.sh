#!/usr/bin/env bash
# Shows the story in four acts, with the TCP states of both ends after each step. Exits 0 only when
# every step showed what it must. BUILD, SERVER_PORT and CLIENT_PORT may be set.
set -u

build=${BUILD:-build}
server_port=${SERVER_PORT:-7070}
client_port=${CLIENT_PORT:-10001}
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

start_server() { # [SECONDS]
    "$build/demo/server" "$server_port" "$@" >"$work/server" 2>&1 &
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

client=("$build/demo/client" "$server_port" "$client_port" "$seconds")

as_it_happened() {
    heading '1. As it happened'
    start_client "${client[@]}"
    await 'the client is in CLOSE-WAIT, the server in FIN-WAIT-2' client_is CLOSE-WAIT
    show_states 'after take 1: the server has closed, the client has not'
    finish_client
    must_print 'bind: Address already in use'
    must_end_with 1
    show_states 'the client is gone: now the connection can end, and the server side waits'
}

explained() {
    heading '2. The same binary under closewait: the same failure, explained'
    start_client "$build/closewait" run -- "${client[@]}"
    await 'the client is in CLOSE-WAIT' client_is CLOSE-WAIT
    show_states 'after take 1: the same states'
    finish_client
    must_print 'bind: Address already in use'
    must_print 'this program still holds the port'
    must_print 'CLOSE_WAIT: the peer closed'
    must_print "client.c:$(grep -n 'if (connect(' "$(dirname "$0")/client.c" | cut -d : -f 1)"
    must_end_with 1
}

fixed() {
    heading '3. The same binary, and closewait may close: take 2 works'
    start_client "$build/closewait" run --action=close --grace=1s -- "${client[@]}"
    await 'the client is in CLOSE-WAIT' client_is CLOSE-WAIT
    show_states 'after take 1'
    await "the client's end is closed" client_is_gone
    show_states 'a second later: closed for the client, its port is free'
    await 'take 2 connects' printed 'take 2: connected'
    show_states 'after take 2, from the same port'
    finish_client
    must_print 'reap: fd'
    must_not_print 'Address already in use'
    must_end_with 0
}

# A port of the client's that nothing has used yet: the acts leave theirs in TIME_WAIT.
take_another_port() {
    client_port=$((client_port + 1))
    while [ -n "$(sockets_at "$client_port")" ]; do
        client_port=$((client_port + 1))
    done
    printf '  (own port %s: this leaves it in TIME_WAIT)\n' "$client_port"
}

close_first() { # COMMAND... of closewait
    take_another_port
    start_client "$@" -- "$build/demo/client" "$server_port" "$client_port" "$seconds" close
    await "the client's end is in TIME-WAIT" client_is TIME-WAIT
    show_states 'after take 1: who closes first waits, with the time left'
    finish_client
}

first_to_close() {
    heading "4. The story's own cure, a client that closes first: TIME_WAIT blocks it for 60 s"
    stop_server
    start_server 1
    close_first "$build/closewait" run
    must_print 'bind: Address already in use'
    must_print 'the port is in TIME_WAIT for'
    must_end_with 1
    printf '  No descriptor holds the port any more, so there is nothing to close: the kernel does.\n'
    printf '\n  With reuseaddr=on it connects again at once:\n'
    close_first "$build/closewait" run --reuseaddr
    must_print 'take 2: connected'
    must_not_print 'Address already in use'
    must_end_with 0
}

need_free "$server_port" "$(ss -Htln "sport = :$server_port")"
need_free "$client_port" "$(sockets_at "$client_port")"
start_server
as_it_happened
explained
fixed
first_to_close

if [ "$failures" -gt 0 ]; then
    printf '\ndemo: %d of its steps did not show what they must\n' "$failures"
    exit 1
fi
printf '\ndemo: every step showed what it must\n'
