#!/usr/bin/env bash
# Shows the story in four acts, with the TCP states of both ends after each step. Exits 0 only when
# every step showed what it must. See stage.sh for what may be set.
# shellcheck source=demo/stage.sh
. "$(dirname "$0")/stage.sh"

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

open_curtain
as_it_happened
explained
fixed
first_to_close
close_curtain
