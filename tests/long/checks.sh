# shellcheck shell=bash
# Verdicts, which are counted, and patience with a limit. To be sourced; check leaves what its command
# said in the folder $work.
passed=0
failed=0

verdict() { # STATUS WHAT FILE...: which are shown when it failed
    if [ "$1" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok $2"
        return
    fi
    failed=$((failed + 1))
    echo "not ok $2"
    if [ $# -gt 2 ]; then
        tail -q -n 60 "${@:3}" | cut -c 1-300 | sed 's/^/    /'
    fi
}

# shellcheck disable=SC2154 # the test's
check() { # WHAT COMMAND...
    "${@:2}" >"$work/log" 2>&1
    verdict $? "$1" "$work/log"
}

await() { # SECONDS COMMAND...: until it succeeds
    local end=$((SECONDS + $1))
    until "${@:2}"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# The last line of a test, and its status.
sum_up() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
