#!/bin/bash
# The README's examples with the installed command, and what it says of LD_PRELOAD; in a system and a
# network of their own, with the programs in /root/bin, and checks.sh beside this. An example says what
# stands under it, but for numbers: which are of a moment. Not for a machine of somebody's: deb.sh
# calls it.
set -u
readme=$1
# shellcheck source=tests/long/checks.sh
source "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
cd "$work" || exit
PATH=/root/bin:$PATH
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT

# What stands under an example, up to the next one or to the end of its block.
expected() { # EXAMPLE
    awk -v example="    \$ $1" '
        $0 == example { on = 1; next }
        on && (/^    \$ / || !/^    /) { exit }
        on { print substr($0, 5) }' "$readme"
}

# Numbers that differ from run to run, and the widths that they give to columns.
without_numbers() {
    sed -E 's/[0-9]+(\.[0-9]+)?/N/g; s/N (ms|s|m)\b/N s/g; s/ +/ /g; s/ $//'
}

# The lines of the program and of closewait come on two streams: in any order.
says_that() { # EXAMPLE
    diff <(expected "$1" | without_numbers | sort) <(without_numbers <out | sort) >difference && return
    cat difference >>out
    return 1
}

held= # the process of a client that keeps a leaked socket
hold() { # PORT
    client 7070 "$1" 3600 >client.out 2>&1 &
    held=$!
    until grep -q 'take 1' client.out; do sleep 0.05; done
}

let_go() {
    kill "$held"
    wait "$held" 2>/dev/null
}

# Of one client, not of three leaks.
log_a_leak() {
    rm -f leaks.jsonl
    LD_PRELOAD=libclosewait.so CLOSEWAIT_OPTIONS=format=json,grace=200ms,output=leaks.jsonl \
        client 7070 10005 1 >client.out 2>&1
}

run_example() { # EXAMPLE: without the build tree's folders, and this moment's process and port
    local command=${1//build\/demo\//}
    command=${command//build\//}
    case $1 in
    'build/demo/server &')
        bash -c "exec ${command% &}" >out 2>&1 &
        await 20 grep -q listening out && says_that "$1"
        ;;
    *'build/demo/client '*)
        bash -c "$command" >out 2>&1
        says_that "$1"
        ;;
    'closewait ps' | 'closewait ps --format=openmetrics | '*)
        hold 10003
        sleep 1.2
        bash -c "$command" >out 2>&1
        let_go
        says_that "$1"
        ;;
    'closewait reap '*)
        hold 10003
        sleep 6
        bash -c "${command% *} $held" >out 2>&1
        let_go
        says_that "$1"
        ;;
    'closewait watch '*) # of the Go program there, and what its threads do: here the client's
        hold 10004
        bash -c "exec ${command%=*}=client" >out 2>&1 &
        await 20 grep -q 'what its threads did' out
        local status=$?
        kill $!
        let_go
        [ $status -eq 0 ] && grep -q ': leak: fd 3 .*CLOSE_WAIT: the peer closed' out &&
            grep -q '#[0-9]* main\.*  *client.c:' out
        ;;
    'closewait report --format=html '*)
        log_a_leak
        bash -c "$command" >out 2>&1 && ! [ -s out ] && head -n 1 report.html | grep -q '^<!DOCTYPE html>' &&
            grep -q '<li>dial  client.c:' report.html && tail -n 1 report.html | grep -q '</html>$'
        ;;
    'closewait report '*)
        log_a_leak
        bash -c "$command" >out 2>&1
        grep -q '#0 dial  client.c:' out &&
            grep -q '^total: 1 call site in 1 process: 1 leaked' out
        ;;
    *)
        echo "tests/long/readme.sh does not know this example" >out
        return 1
        ;;
    esac
}

mapfile -t examples < <(sed -n 's/^    \$ //p' "$readme")
for example in "${examples[@]}"; do
    run_example "$example"
    verdict $? "\$ $example" out
done

closewait run --grace=1s --error-exitcode=99 client 7070 10006 2 >out 2>&1
[ $? -eq 99 ]
verdict $? "a leak fails a pipeline" out

# One value for every program: the dynamic linker puts each one's folder for $LIB, and knows the
# name without a folder, too.
for leaker in leaker leaker-32; do
    for shim in "/usr/\$LIB/libclosewait.so" libclosewait.so; do
        LD_PRELOAD=$shim CLOSEWAIT_OPTIONS=grace=200ms bash -c \
            "sleep 2 | $leaker connect4=7070 wait" >out 2>&1
        grep -q ": leak: fd [0-9]*  .*CLOSE_WAIT: the peer closed" out && ! grep -q 'ERROR: ld.so' out
        verdict $? "LD_PRELOAD=$shim serves $leaker" out
    done
done
