#!/usr/bin/env bash
# One LD_PRELOAD for programs of both sizes: the dynamic linker puts the right folder for $LIB
# (ld.so(8)). BUILD names the build tree. Ends with "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
# shellcheck source=tests/long/checks.sh
source "$(dirname "$0")/checks.sh"
work=$(mktemp -d)
chmod 711 "$work"
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT

# Both spellings of $LIB: Debian's, and that of distributions with lib64 and lib.
for lib in lib/x86_64-linux-gnu lib64; do
    mkdir -p "$work/$lib" && cp "$build/libclosewait.so" "$work/$lib"
done
for lib in lib/i386-linux-gnu lib; do
    mkdir -p "$work/$lib" && cp "$build/m32/libclosewait.so" "$work/$lib"
done

# A line when the socket was closed for the leaker; after 10 s without it, too.
go_on_after_reap() {
    await 10 grep -q 'the connection is gone' "$work/log"
    echo
}

for leaker in "$build/tests/leaker" "$build/m32/tests/leaker"; do
    python3 -c '
import socket, signal
signal.alarm(20)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
listener.accept()[0].close()
' >"$work/port" &
    until [ -s "$work/port" ]; do sleep 0.05; done
    : >"$work/log"
    go_on_after_reap | LD_PRELOAD="$work/\$LIB/libclosewait.so" \
        CLOSEWAIT_OPTIONS=action=close,grace=200ms "$leaker" "connect4=$(cat "$work/port")" wait \
        probe >"$work/log" 2>&1
    grep -q 'the connection is gone' "$work/log" && ! grep -q 'ERROR: ld.so' "$work/log" &&
        grep -q 'send Broken pipe' "$work/log"
    verdict $? "$(file -b "$leaker" | cut -d ' ' -f 2) leaker" "$work/log"
    rm "$work/port"
done
touch "$work/report"
chmod 666 "$work/report"
# shellcheck disable=SC2094 # both append to it, and the program reads it at its end
CLOSEWAIT_OPTIONS=format=json,last=on,grace=2s,output="$work/report" \
    "$build/m32/tests/doors" "$work/report" >"$work/log" 2>>"$work/report"
verdict $? "32-bit doors" "$work/log"
"$build/closewait" run "$build/m32/tests/leaker" nothing >"$work/log" 2>&1
grep -q 'it is a 32-bit program and the shim is 64-bit' "$work/log"
verdict $? "closewait run says that it is a 32-bit program" "$work/log"
readelf -dW "$build/m32/libclosewait.so" >"$work/log"
! grep -qE 'NEEDED|TEXTREL' "$work/log"
verdict $? "no NEEDED" "$work/log"
sum_up
