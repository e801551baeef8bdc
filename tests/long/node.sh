#!/usr/bin/env bash
# Node closes by syscall(SYS_close): 1,000 connections served and closed are no leak, and the one
# that an upgrade handler never ends is one. BUILD names the build tree. Ends with "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/serve.js" <<'JS'
const http = require('http'), net = require('net');
const server = http.createServer((ask, reply) => reply.end('hello'));
server.on('upgrade', (ask, socket) => {
    global.kept = socket; // and never ended
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
    socket.on('end', () => setTimeout(() => process.exit(0), 1500));
    socket.resume();
});
server.listen(0, '127.0.0.1', async () => {
    const port = server.address().port;
    for (let i = 0; i < 1000; i++)
        await new Promise((done, fail) => http.get(
            { port, host: '127.0.0.1', agent: false, headers: { Connection: 'close' } },
            reply => { reply.resume(); reply.on('end', done); }).on('error', fail));
    console.log('served 1000');
    if (process.argv[2] !== 'leak') return setTimeout(() => process.exit(0), 1000);
    const client = net.connect({ port, host: '127.0.0.1' }, () => client.write(
        'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'));
    client.once('data', () => client.end());
});
JS
passed=0
failed=0
for action in log close-dead close; do
    for expected in 0 1; do
        what=$([ $expected -eq 1 ] && echo leak || echo close)
        LD_PRELOAD=$build/libclosewait.so CLOSEWAIT_OPTIONS=action=$action,grace=200ms \
            timeout 60 node "$work/serve.js" "$what" >"$work/out" 2>"$work/report"
        leaks=$(grep -c ': leak: ' "$work/report")
        frames=$(grep -c 'opened by accept.* at:  #0 .*   #1 ' "$work/report")
        if grep -q 'served 1000' "$work/out" && [ "$leaks" -eq $expected ] &&
            [ "$frames" -eq $expected ]; then
            passed=$((passed + 1))
            echo "ok node action=$action: $leaks leaks"
        else
            failed=$((failed + 1))
            echo "not ok node action=$action: $leaks leaks, expected $expected"
            sed 's/^/    /' "$work/out" "$work/report"
        fi
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
