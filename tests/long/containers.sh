#!/usr/bin/env bash
# The files of docs/deploy for containers, by podman: the Dockerfile is built, the Kubernetes pod with
# the shim is played, and what closewait watch can do from a container with which rights is what
# docs/deploy/README.md says. Takes root, debootstrap, podman, and the packages that make deb leaves
# in BUILD. Ends with "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
here=$(realpath "$(dirname "$0")")
deploy=$here/../../docs/deploy
# shellcheck source=tests/long/checks.sh
source "$here/checks.sh"
PATH=$PATH:/usr/sbin:/sbin
for tool in debootstrap podman catatonit; do
    if [ "$(id -u)" -ne 0 ] || ! command -v $tool >/dev/null; then
        echo "skipped: it takes root, and $tool"
        exit 0
    fi
done
if ! ls "$build"/deb/closewait_*.deb >/dev/null 2>&1; then
    echo "skipped: no packages in $build/deb, which make deb makes"
    exit 0
fi
# In namespaces of its own: the host whose processes are watched is this one, and a hierarchy of
# cgroup2 beside those of v1, which is more than crun takes, is out of sight.
if [ -z "${APART:-}" ]; then
    APART=1 exec unshare --mount --pid --fork --mount-proc --kill-child sh -c \
        'if [ -d /sys/fs/cgroup/unified ]; then umount /sys/fs/cgroup/unified; fi; exec "$@"' sh "$0"
fi

work=$(mktemp -d)
# Images and containers of its own, apart from whatever is on this machine.
pod=(podman --root "$work/storage" --runroot "$work/run" --cgroup-manager=cgroupfs)
finish() {
    "${pod[@]}" pod rm --all --force --time 1 >/dev/null 2>&1
    "${pod[@]}" rm --all --force --time 1 >/dev/null 2>&1
    umount "$work"/storage/*/merged "$work"/storage/overlay 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap finish EXIT
cat >"$work/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
events_logger = "file"
CONF
export CONTAINERS_CONF=$work/containers.conf

says() { # TEXT COMMAND...: whose output is in $work/said
    "${@:2}" >"$work/said" 2>&1
    grep -qE -- "$1" "$work/said"
}

# What every image comes from, with what the packages need.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)
debootstrap --variant=minbase \
    --include=python3-minimal,libjansson4,libsmartcols1,libmnl0,libdw1,libelf1,libbsd0 \
    bookworm "$work/root" "$mirror" >"$work/said" 2>&1 &&
    tar -C "$work/root" -c . | "${pod[@]}" import -q - docker.io/library/debian:bookworm-slim \
        >"$work/said" 2>&1
verdict $? 'debootstrap makes an image' "$work/said"
rm -rf --one-file-system "$work/root"

# Its apt-get update needs no answer: there is nothing to fetch.
"${pod[@]}" build --isolation=chroot -t closewait -f "$deploy/Dockerfile" "$build/deb" \
    >"$work/said" 2>&1
verdict $? 'Dockerfile: an image with the packages' "$work/said"

printf 'FROM debian:bookworm-slim\nCOPY legacy /usr/local/bin/\nUSER 65534\nCMD ["legacy"]\n' \
    >"$work/Dockerfile"
"${pod[@]}" build --isolation=chroot -t legacy -f "$work/Dockerfile" "$deploy/practice" \
    >"$work/said" 2>&1
verdict $? 'an image of a program that leaks, by another user' "$work/said"

# Podman 4.3 may try to remove an init container before it has heard of its end: more often the busier
# the machine is.
for _ in $(seq 10); do
    "${pod[@]}" kube play --replace --network=none "$deploy/kubernetes-shim.yaml" \
        >"$work/said" 2>&1 && break
done
verdict $? 'kubernetes-shim.yaml: the pod starts' "$work/said"
await 30 says '"type":"leak".*"comm":"legacy".*"open_stack"' "${pod[@]}" logs legacy-pod-0-legacy
verdict $? 'and what the program leaks is told, with a stack' "$work/said"

# As in the files: no rights but these, nothing to write on, no network; hostPID.
watch() { # NAME RIGHTS ARGUMENT...: RIGHTS are capabilities, and seccomp=unconfined
    local name=$1 rights=$2 options=()
    for right in $rights; do
        case $right in
        seccomp=*) options+=(--security-opt "$right") ;;
        *) options+=(--cap-add "$right") ;;
        esac
    done
    mkdir "$work/$name"
    "${pod[@]}" run --detach --name "$name" --pid=host --network=none --read-only --cap-drop=ALL \
        "${options[@]}" --security-opt no-new-privileges --volume "$work/$name:/metrics" closewait \
        watch --name=legacy --grace=2s --metrics=/metrics/closewait.prom "${@:3}" >"$work/said" 2>&1
}
stop() { # NAME
    "${pod[@]}" rm --force --time 1 "$1" >/dev/null 2>&1
}
must_say() { # WHAT TEXT RIGHTS ARGUMENT...
    local name=watch-$((passed + failed))
    watch "$name" "${@:3}" && await 30 says "$2" "${pod[@]}" logs "$name"
    verdict $? "$1: $3" "$work/said"
    last=$name
}

in_pod='legacy\[[0-9]+\] in podman:[0-9a-f]+: leak: '
looks='SYS_PTRACE DAC_READ_SEARCH'
must_say 'reports' "$in_pod" "$looks"
await 30 says '^closewait_sockets\{.*process="legacy".*\} [1-9]' cat "$work/$last/closewait.prom"
verdict $? 'and counts' "$work/said"
"${pod[@]}" exec "$last" closewait ps >"$work/said" 2>&1
grep -q 'could not be entered' "$work/said"
verdict $? "closewait ps does not see into pods: $looks" "$work/said"
stop "$last"
must_say 'sees nothing' 'may not (enter|list)' 'SYS_PTRACE SYS_ADMIN'
stop "$last"
must_say 'sees nothing' 'may not (enter|list)' 'DAC_READ_SEARCH SYS_ADMIN'
stop "$last"
must_say 'closes nothing' 'filters its system calls' "$looks" --action=close
stop "$last"
must_say 'closes nothing' 'filters its system calls' "$looks SYS_ADMIN" --action=close
stop "$last"
must_say 'closes nothing' 'filters its system calls' "$looks seccomp=unconfined" --action=close
stop "$last"
must_say 'closes' 'reap: fd .*closed, and the connection is gone' "$looks SYS_ADMIN seccomp=unconfined" \
    --action=close
"${pod[@]}" exec "$last" closewait ps >"$work/said" 2>&1
! grep -q 'could not be entered' "$work/said"
verdict $? 'and closewait ps sees into pods' "$work/said"
stop "$last"

for file in compose.yaml kubernetes-watch.yaml kubernetes-shim.yaml; do
    /usr/bin/python3 -c 'import sys, yaml; assert list(yaml.safe_load_all(open(sys.argv[1])))' "$deploy/$file" \
        >"$work/said" 2>&1
    verdict $? "$file is YAML" "$work/said"
done
sum_up
