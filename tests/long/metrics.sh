#!/usr/bin/env bash
# From a leak to an alert: closewait watch, node_exporter's textfile collector, Prometheus with the
# rules of docs/deploy. A minute of theirs is 5 s here. Nothing is started as a service. BUILD names
# the build tree. Ends with "N passed, N failed".
set -u
here=$(realpath "$(dirname "$0")")
deploy=$here/../../docs/deploy
# shellcheck source=tests/long/checks.sh
source "$here/checks.sh"
closewait=$(realpath "${BUILD:-build}")/closewait
work=$(mktemp -d)
# What runs here are children of this shell, all of them.
# shellcheck disable=SC2046
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
textfiles=$work/textfiles
mkdir "$textfiles"

free_port() {
    python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

ask() { # QUERY: the answer is in the log
    timeout 10 promtool query instant "http://127.0.0.1:$prometheus_port" "$1" >"$work/log" 2>&1
}

finds() { # QUERY
    ask "$1" && grep -q '[^[:space:]]' "$work/log"
}

finds_nothing() { # QUERY: as told by a Prometheus that is there
    ask "$1" && ! grep -q '[^[:space:]]' "$work/log"
}

awaits() { # SECONDS WHAT QUERY: or shows all there is
    await "$1" finds "$3" || { ask '{__name__=~"closewait.*|ALERTS|node_textfile.*"}' && false; }
    verdict $? "$2" "$work/log"
}

never() { # WHAT QUERY
    finds_nothing "$2"
    verdict $? "$1" "$work/log"
}

check "the rules are sound" promtool check rules "$deploy/closewait.rules.yml"
check "they are set off by leaks and not by pools, in theory" \
    promtool test rules "$here/metrics/closewait.rules.test.yml"

declare -A pids
for how in leak pool saw; do
    python3 "$here/metrics/holder.py" "cw-$how" $how &
    pids[$how]=$!
done
"$closewait" watch --grace=1s --metrics="$textfiles/closewait-test.prom" "${pids[@]}" \
    >"$work/watch" 2>&1 &
watch=$!

node_port=$(free_port)
prometheus-node-exporter --collector.disable-defaults --collector.textfile \
    --collector.textfile.directory="$textfiles" --web.listen-address="127.0.0.1:$node_port" \
    >"$work/node" 2>&1 &

python3 - "$deploy/closewait.rules.yml" >"$work/rules.yml" <<'PY'
import re, sys
rules = open(sys.argv[1]).read().replace("> 120", "> 10")
print(re.sub(r"\b(\d+)m\b", lambda minutes: f"{5 * int(minutes[1])}s", rules))
PY
cat >"$work/prometheus.yml" <<YML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:$node_port"]}]
YML
check "the configuration is sound" promtool check config "$work/prometheus.yml"
prometheus_port=$(free_port)
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address="127.0.0.1:$prometheus_port" >"$work/prometheus" 2>&1 &

awaits 60 "a leak is in a query" 'closewait_leaked_sockets{process="cw-leak",direction="accepted"} > 3'
awaits 30 "a pool is in a query" 'closewait_leaked_sockets{process="cw-pool"} == 20'
# shellcheck disable=SC2094
"$closewait" ps --format=openmetrics >"$work/ps" 2>"$work/log" && mv "$work/ps" "$textfiles/closewait-ps.prom"
awaits 30 "what ps sees is in a query" 'closewait_sockets{source="ps",process="cw-pool"} == 20'
check "what watch writes is sound" promtool check metrics <"$textfiles/closewait-test.prom"
check "what ps writes is sound" promtool check metrics <"$textfiles/closewait-ps.prom"

awaits 150 "a leak fires ClosewaitGrowing" \
    'ALERTS{alertname="ClosewaitGrowing",process="cw-leak",source="closewait-test",alertstate="firing"}'
never "a pool and a saw do not" 'ALERTS{alertname="ClosewaitGrowing",process!="cw-leak"}'
sleep 15
never "and they do not later" 'ALERTS{alertname="ClosewaitGrowing",process!="cw-leak",alertstate="firing"}'
never "no other alert fires" \
    'ALERTS{alertname!~"ClosewaitGrowing|ClosewaitMetricsStale",alertstate="firing"}'
check "each panel of the dashboard can be asked for" python3 "$here/metrics/exprs.py" \
    "$deploy/closewait-dashboard.json" "http://127.0.0.1:$prometheus_port"

"$closewait" watch --action=close --grace=1s --metrics="$textfiles/closewait-close.prom" \
    "${pids[pool]}" >"$work/close" 2>&1 &
awaits 60 "what is closed is in a query" \
    'closewait_reaps_total{source="closewait-close",process="cw-pool",result="closed"} == 20'
awaits 30 "and is held no more" 'closewait_sockets{source="closewait-test",process="cw-pool"} == 0'
never "node_exporter refuses no file" 'max_over_time(node_textfile_scrape_error[10m]) > 0'

kill -9 $watch
wait $watch 2>/dev/null
awaits 60 "a file that nobody writes any more fires ClosewaitMetricsStale" \
    'ALERTS{alertname="ClosewaitMetricsStale",file=~".*/closewait-test.prom",alertstate="firing"}'
sum_up
