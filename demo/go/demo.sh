#!/usr/bin/env bash
# The story as it was written, in Go, which calls no libc: linked statically, and dynamically. Each
# fails at take 2 alone, and works with closewait. See ../stage.sh for what may be set.
# shellcheck source=demo/stage.sh
. "$(dirname "$0")/../stage.sh"
server=$build/demo/go/server

alone() { # LINKED
    take_another_port
    start_client "$build/demo/go/client-$1" "$server_port" "$client_port" "$seconds"
    await 'the client is in CLOSE-WAIT' client_is CLOSE-WAIT
    show_states 'after take 1: the server has closed, the client has not'
    finish_client
    must_print 'bind: address already in use'
    must_end_with 1
}

helped() { # LINKED COMMAND...
    local linked=$1
    shift
    take_another_port
    start_client "$@" "$build/demo/go/client-$linked" "$server_port" "$client_port" "$seconds"
    await "the client's end is closed" client_is_gone
    show_states 'a second after take 1: closed for the client, its port is free'
    await 'take 2 connects' printed 'take 2: connected'
    finish_client
    must_print 'reap: fd'
    must_not_print 'address already in use'
    must_end_with 0
}

open_curtain
heading '1. Static: no library can be loaded into it, so closewait stays outside'
alone static
helped static "$build/closewait" run --action=close --grace=1s --
heading '2. Dynamic: LD_PRELOAD alone, and the shim looks for the sockets itself'
alone dynamic
helped dynamic env "LD_PRELOAD=$build/libclosewait.so" CLOSEWAIT_OPTIONS=action=close,grace=1s
close_curtain
