#!/usr/bin/env bash
# Real programs with and without the shim, in each action: what they print is compared, to the
# letter. transparency.sh [SCENARIO...]; BUILD names the build tree. Ends with "N passed, N failed".
set -u

build=$(realpath "${BUILD:-build}")
work=$(mktemp -d)
chmod 755 "$work"
pids=()
action=bare
passed=0
failed=0

clean_up() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap clean_up EXIT

# The environment that the programs of this round have.
shim() {
    [ "$action" = bare ] && return
    printf 'LD_PRELOAD=%s/libclosewait.so CLOSEWAIT_OPTIONS=action=%s,grace=2s,output=%s/report' \
        "$build" "$action" "$work"
}

under() { # COMMAND...
    # shellcheck disable=SC2046
    env $(shim) "$@"
}

start() { # COMMAND...: in the background, until stop
    # shellcheck disable=SC2046
    env $(shim) "$@" >"$work/server.log" 2>&1 &
    pids+=($!)
}

stop() {
    kill "${pids[-1]}" 2>/dev/null
    wait "${pids[-1]}" 2>/dev/null
    unset 'pids[-1]'
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

await_port() { # PORT
    for _ in $(seq 200); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.05
    done
    echo "nobody listens on the port"
}

python_tests() { # NAME
    # vsock needs a hypervisor's help; some of these tests wait for it for ever.
    (cd "$work" && under /usr/bin/python3 -m test -q -i '*[Vv]sock*' -i '*VSOCK*' "$1" 2>&1) |
        grep -E '^(Tests? result|[0-9]+ tests? |test.* failed)'
}
cpython_socket() { python_tests test_socket; }
cpython_subprocess() { python_tests test_subprocess; }
cpython_asyncio() { python_tests test_asyncio; }

stress() {
    under stress-ng --quiet --verify --sock 2 --dup 1 --close 1 --fork 1 --vfork 1 --clone 1 \
        --timeout 10 2>&1
    echo "status $?"
}

redis_background_save() {
    local port
    port=$(free_port)
    start redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$work" --dbfilename dump
    await_port "$port"
    for i in $(seq 200); do echo "SET key$i value$i"; done |
        under redis-cli -p "$port" | sort | uniq -c
    under redis-cli -p "$port" BGSAVE
    for _ in $(seq 100); do
        redis-cli -p "$port" INFO persistence | grep -q 'rdb_bgsave_in_progress:0' && break
        sleep 0.05
    done
    redis-cli -p "$port" INFO persistence | grep rdb_last_bgsave_status
    under redis-cli -p "$port" GET key137
    under redis-benchmark -q -p "$port" -n 2000 -c 20 -t set,get 2>&1 | tr '\r' '\n' |
        grep -c 'requests per second'
    stop
    rm -f "$work/dump"
}

nginx_reload() {
    local port
    port=$(free_port)
    cat >"$work/nginx.conf" <<CONF
worker_processes 2; daemon off; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 256; }
http { access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p;
  fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 127.0.0.1:$port; location / { return 200 'hello'; } } }
CONF
    start nginx -c "$work/nginx.conf" -e "$work/nginx.log" -p "$work"
    await_port "$port"
    for _ in 1 2 3; do
        kill -HUP "$(cat "$work/nginx.pid")"
        ab -q -n 500 -c 10 "http://127.0.0.1:$port/" | grep -E '^(Complete|Failed) requests'
    done
    stop
}

postgresql() {
    local bin port
    bin=$(echo /usr/lib/postgresql/*/bin)
    port=$(free_port)
    mkdir -p "$work/pg"
    chown postgres "$work/pg"
    as_postgres() {
        # shellcheck disable=SC2046
        (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups env $(shim) "$@") 2>&1
    }
    as_postgres "$bin/initdb" -D "$work/pg/data" -A trust | grep -c 'Success'
    as_postgres "$bin/pg_ctl" -D "$work/pg/data" -s -w -l "$work/pg/log" \
        -o "-p $port -k $work/pg -c listen_addresses=127.0.0.1" start
    as_postgres "$bin/pgbench" -q -i -h 127.0.0.1 -p "$port" postgres | grep -c '^done'
    as_postgres "$bin/pgbench" -h 127.0.0.1 -p "$port" -c 4 -j 2 -t 50 postgres |
        grep -E 'transactions actually|failed'
    as_postgres psql -h 127.0.0.1 -p "$port" -Atc 'select count(*) from pgbench_accounts' postgres
    as_postgres "$bin/pg_ctl" -D "$work/pg/data" -s -m fast stop
    rm -rf "$work/pg"
}

node_http_and_cluster() {
    cat >"$work/node.js" <<'JS'
const cluster = require('cluster'), http = require('http'), child = require('child_process');
if (cluster.isPrimary) {
    console.log(child.execFileSync('echo', ['child']).toString().trim());
    const worker = cluster.fork();
    worker.on('message', async port => {
        let served = 0;
        for (let i = 0; i < 1000; i++)
            await new Promise((done, fail) => http.get(
                { port, host: '127.0.0.1', agent: false, headers: { Connection: 'close' } },
                reply => { reply.resume(); reply.on('end', () => { served++; done(); }); })
                .on('error', fail));
        console.log('served', served);
        worker.kill();
    });
} else {
    const server = http.createServer((ask, reply) => reply.end('hello'));
    server.listen(0, '127.0.0.1', () => process.send(server.address().port));
}
JS
    under node "$work/node.js" 2>&1
}

java_nio_and_process() {
    cat >"$work/Nio.java" <<'JAVA'
import java.io.*; import java.net.*; import java.nio.*; import java.nio.channels.*;
class Nio {
    public static void main(String[] args) throws Exception {
        ServerSocketChannel server = ServerSocketChannel.open();
        server.bind(new InetSocketAddress("127.0.0.1", 0));
        Thread echo = new Thread(() -> {
            try {
                for (int i = 0; i < 200; i++) {
                    SocketChannel client = server.accept();
                    ByteBuffer buffer = ByteBuffer.allocate(64);
                    while (client.read(buffer) >= 0) { buffer.flip(); client.write(buffer); buffer.clear(); }
                    client.close();
                }
            } catch (IOException e) { System.out.println(e); }
        });
        echo.start();
        int right = 0;
        for (int i = 0; i < 200; i++) {
            SocketChannel client = SocketChannel.open(server.getLocalAddress());
            client.write(ByteBuffer.wrap("hello".getBytes()));
            client.shutdownOutput();
            ByteBuffer buffer = ByteBuffer.allocate(64);
            while (client.read(buffer) >= 0) { }
            if (buffer.position() == 5) right++;
            client.close();
        }
        echo.join();
        Process child = new ProcessBuilder("echo", "child").start();
        System.out.println(right + " " + new BufferedReader(new InputStreamReader(child.getInputStream())).readLine() + " " + child.waitFor());
    }
}
JAVA
    under java "$work/Nio.java" 2>&1
}

sshd_and_scp() {
    local port
    port=$(free_port)
    mkdir -p /run/sshd "$work/ssh"
    [ -e "$work/ssh/host" ] || {
        ssh-keygen -q -t ed25519 -N '' -f "$work/ssh/host"
        ssh-keygen -q -t ed25519 -N '' -f "$work/ssh/user"
        cp "$work/ssh/user.pub" "$work/ssh/authorized"
        head -c 10000000 /dev/urandom >"$work/ssh/file"
    }
    start /usr/sbin/sshd -D -e -f /dev/null -p "$port" -h "$work/ssh/host" -o StrictModes=no \
        -o ListenAddress=127.0.0.1 -o PidFile=none -o AuthorizedKeysFile="$work/ssh/authorized" \
        -o Subsystem='sftp internal-sftp'
    await_port "$port"
    local with=(-i "$work/ssh/user" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
        -o LogLevel=ERROR -F none)
    under ssh -p "$port" "${with[@]}" root@127.0.0.1 echo over ssh 2>&1
    under scp -P "$port" "${with[@]}" "$work/ssh/file" "root@127.0.0.1:$work/ssh/copy" 2>&1
    cmp "$work/ssh/file" "$work/ssh/copy" && echo the same
    stop
    rm -f "$work/ssh/copy"
}

git_over_its_daemon() {
    local port
    port=$(free_port)
    rm -rf "$work/git"
    git init -q --bare "$work/git/origin"
    start git daemon --listen=127.0.0.1 --port="$port" --base-path="$work/git" --export-all \
        --enable=receive-pack --reuseaddr
    await_port "$port"
    under git clone -q "git://127.0.0.1:$port/origin" "$work/git/clone" 2>&1 | grep -v empty
    (
        cd "$work/git/clone" || exit
        seq 10000 >numbers
        git add numbers
        git -c user.name=a -c user.email=a@b commit -q -m numbers
        under git push -q origin HEAD 2>&1
    )
    under git clone -q "git://127.0.0.1:$port/origin" "$work/git/again" 2>&1
    cmp "$work/git/clone/numbers" "$work/git/again/numbers" && echo the same
    stop
}

compare() { # SCENARIO
    action=bare
    "$1" >"$work/bare" 2>&1
    sed "s/^/    $1: /" "$work/bare"
    for action in log close-dead close; do
        "$1" >"$work/with" 2>&1
        if cmp -s "$work/bare" "$work/with"; then
            passed=$((passed + 1))
            echo "ok $1 action=$action"
        else
            failed=$((failed + 1))
            echo "not ok $1 action=$action"
            diff "$work/bare" "$work/with" | sed 's/^/    /'
        fi
    done
}

scenarios=(redis_background_save nginx_reload postgresql node_http_and_cluster
    java_nio_and_process sshd_and_scp git_over_its_daemon stress cpython_subprocess
    cpython_socket cpython_asyncio)
[ $# -gt 0 ] && scenarios=("$@")
for scenario in "${scenarios[@]}"; do
    compare "$scenario"
done
[ -s "$work/report" ] && sed 's/^/report: /' "$work/report" | head -n 40
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
