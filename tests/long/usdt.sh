#!/usr/bin/env bash
# What bpftrace and gdb see at the probes of the shim is what its records say, and the examples of
# the manual work. BUILD names the build tree. bpftrace takes root and a kernel with BPF and uprobes,
# and is skipped elsewhere. Ends with "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
here=$(realpath "$(dirname "$0")")
manual=$here/../../docs/libclosewait.so.8
# shellcheck source=tests/long/checks.sh
source "$here/checks.sh"
shim=$build/libclosewait.so
leaker=$build/tests/leaker
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT

# A peer that closes whatever comes, at once; and a port that the kernel does not pick by itself.
/usr/bin/python3 -u - >"$work/port" <<'PY' &
import random, socket
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], random.randrange(20000, 30000))
while True:
    listener.accept()[0].close()
PY
pids+=($!)
await 30 grep -q . "$work/port" || exit 1
read -r port own <"$work/port"

# More connections than there are numbers; the first of them are reaped while it sleeps.
cat >"$work/short.py" <<'PY'
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
keep = []
for i in range(80):
    keep.append(socket.create_connection(('127.0.0.1', int(sys.argv[1]))))
    if i == 40:
        time.sleep(1)
PY

options() { # GRACE
    echo "action=close,grace=$1,format=json,output=$work/records"
}

# A socket that is reaped, and closed late; a bind that needs the port of one; numbers that run out. Each
# story has the same port: the peer must be the first to close, or TIME_WAIT would keep it.
story() {
    export LD_PRELOAD=$shim
    CLOSEWAIT_OPTIONS=$(options 300ms) "$leaker" connect4="$port" drain doze close
    CLOSEWAIT_OPTIONS=$(options 1m) "$leaker" from="$own" connect4="$port" doze connect4="$port" \
        drain
    CLOSEWAIT_OPTIONS=$(options 300ms) /usr/bin/python3 "$work/short.py" "$port"
    unset LD_PRELOAD
}

# The records, as the tracers say it.
cat >"$work/words.py" <<'PY'
import json, sys
def ms(seconds):
    return round(seconds * 1000)
def leak(r):
    return f"{r['fd']} {ms(r['fin_age_s'])} {r['class']} {r['site']}"
print('eof 3 connect')
for r in map(json.loads, sys.stdin):
    if r['type'] == 'leak':
        print('leak', leak(r))
    elif r['type'] == 'reap':
        print('reap', leak(r), r['why'], 0)
    elif r['type'] == 'late-close':
        print('late_close', r['fd'], ms(r['fin_age_s']), int(r['reaped']), r['site'])
    elif r['type'] == 'rescue' and r['what'] == 'port':
        print('leak', leak(r['leak']))
        print('reap', leak(r['leak']), 'port', 0)
        print('rescue 4', ms(r['waited_s']), 'port', r['closed'], 0)
    elif r['type'] == 'rescue':
        print('rescue -1 0 descriptors', r['given_back'], 0)
PY

compare() { # TRACER: that it saw each record, with these arguments
    /usr/bin/python3 "$work/words.py" <"$work/records" | sort >"$work/expected"
    grep -E '^(eof|leak|reap|rescue|late_close) ' "$work/$1" | sort >"$work/seen"
    comm -23 "$work/expected" "$work/seen" >"$work/missing"
    [ "$(wc -l <"$work/expected")" -gt 3 ] && ! [ -s "$work/missing" ]
    verdict $? "$1 sees each of $(wc -l <"$work/expected") acts as the records tell it" \
        "$work/missing" "$work/$1"
}

can_trace() {
    command -v bpftrace >/dev/null || { echo "no bpftrace" && return 1; }
    timeout 20 bpftrace -e "usdt:$shim:closewait:eof {} interval:ms:1 { exit(); }" </dev/null 2>&1 |
        tee "$work/can" | grep -q Attaching || tail -n 1 "$work/can"
}

# Its output comes when all is attached.
with_bpftrace() { # OUTPUT SCRIPT COMMAND...
    { cat "$2" && printf 'BEGIN { printf("ready\\n"); }\n'; } >"$2.ready"
    timeout 120 bpftrace -B line "$2.ready" >"$1" 2>&1 </dev/null &
    local tracer=$!
    pids+=("$tracer")
    await 30 grep -q '^ready' "$1" && "${@:3}" >"$1.story" 2>&1
    sleep 0.5 # what was seen is on its way
    kill -INT "$tracer"
    wait "$tracer"
}

cat >"$work/all" <<BT
usdt:$shim:closewait:eof { printf("eof %d %s\n", arg0, str(arg1)); }
usdt:$shim:closewait:leak { printf("leak %d %d %s %lx\n", arg0, arg1, str(arg2), arg3); }
usdt:$shim:closewait:reap
    { printf("reap %d %d %s %lx %s %d\n", arg0, arg1, str(arg2), arg3, str(arg4), arg5); }
usdt:$shim:closewait:rescue
    { printf("rescue %d %d %s %d %d\n", arg0, arg1, str(arg2), arg3, arg4); }
usdt:$shim:closewait:late_close { printf("late_close %d %d %d %lx\n", arg0, arg1, arg2, arg3); }
BT

# The examples of the manual, for this shim and any process.
examples() {
    mandoc -T ascii "$manual" | col -bx | /usr/bin/python3 -c '
import re, sys
page, shim, to = sys.stdin.read(), *sys.argv[1:]
for i, example in enumerate(re.findall("# bpftrace -e \x27(.*?)\x27\n", page, re.S)):
    example = example.replace("/usr/local/lib/libclosewait.so", shim).replace("/pid == 4711/", "")
    open(f"{to}/example.{i}", "w").write(example + "\n")' "$shim" "$work"
}

why=$(can_trace)
if [ -n "$why" ]; then
    echo "skipped bpftrace: $why"
else
    with_bpftrace "$work/bpftrace" "$work/all" story
    compare bpftrace
    examples
    for script in "$work"/example.[0-9]; do
        with_bpftrace "$script.said" "$script" story
        grep -qE '^@.*leaker|^leaker\[' "$script.said"
        verdict $? "example of the manual: $(tr -s ' \n' ' ' <"$script" | sed "s|$shim|shim|" | cut -c 1-70)" \
            "$script" "$script.said" "$script.said.story"
    done
fi

# By breakpoints, on the notes and ptrace alone.
stop_at() { # PROBE FORMAT: with its arguments in order
    local list=
    for n in $(seq 0 $(($(grep -o % <<<"$2" | wc -l) - 1))); do list="$list, \$_probe_arg$n"; done
    # shellcheck disable=SC2016
    printf 'break -probe-stap closewait:%s\ncommands\nsilent\nprintf "%s %s\\n"%s\ncontinue\nend\n' \
        "$1" "$1" "$2" "$list"
}

if ! command -v gdb >/dev/null; then
    echo "skipped gdb: it is not there"
else
    rm -f "$work/records"
    {
        printf 'set debuginfod enabled off\nset pagination off\n'
        echo "set exec-wrapper env LD_PRELOAD=$shim CLOSEWAIT_OPTIONS=$(options 300ms)"
        printf 'break main\nrun connect4=%s drain doze doze close >/dev/null\n' "$port"
        stop_at eof '%d %s'
        stop_at leak '%d %d %s %lx'
        stop_at reap '%d %d %s %lx %s %d'
        stop_at late_close '%d %d %d %lx'
        echo continue
    } >"$work/commands"
    timeout 60 gdb -nx -q -batch -x "$work/commands" "$leaker" >"$work/gdb" 2>&1 </dev/null
    compare gdb
fi
sum_up
