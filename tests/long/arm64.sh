#!/usr/bin/env bash
# The same sources for aarch64: cross-built in a Debian of their own, which also makes the packages,
# and the tests that qemu's user mode can run: those that need no answer of the kernel's which it does
# not pass on (docs/aarch64.md lists them). Programs of aarch64 are run by a binfmt_misc that is mounted
# in a user namespace, and the host's is left alone: that takes Linux 6.7. Ends with
# "N passed, N failed".
set -u
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/long/root.sh
source "$here/root.sh"
root_begin arm64

libraries=(libc6 libbsd libelf libmnl libsmartcols libdw libiberty libjansson libcriterion musl)
cross=(CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++)

set_up() {
    root_make "$root" gcc-aarch64-linux-gnu g++-aarch64-linux-gnu make git qemu-user-static \
        dpkg-dev debhelper && root_run "$root" dpkg --add-architecture arm64 &&
        root_run "$root" apt-get -q update &&
        root_run "$root" apt-get -q -y --no-install-recommends install \
            "${libraries[@]/%/-dev:arm64}"
}

# Some test programs ask for a compiler by name.
name_compilers() {
    local name
    for name in gcc g++; do
        printf '#!/bin/sh\nexec aarch64-linux-gnu-%s "$@"\n' "$name" >"$root/usr/local/bin/$name"
    done
    printf '#!/bin/sh\nexec gcc "$@" -specs /usr/lib/aarch64-linux-musl/musl-gcc.specs\n' \
        >"$root/usr/local/bin/musl-gcc"
    chmod 755 "$root"/usr/local/bin/*
}

build() { # TARGET...
    name_compilers
    root_run "$root" env PATH=/usr/local/bin:/usr/bin:/bin \
        make -C /root/closewait "${cross[@]}" "$@"
}

packages() {
    root_run "$root" sh -c 'cp -r /root/closewait /root/package && cd /root/package &&
        make -s debian && dpkg-buildpackage -d --no-sign --build=any --host-arch arm64 &&
        ls ../closewait_*_arm64.deb ../libclosewait_*_arm64.deb'
}

# One name that only glibc has ends every program of musl's at its start.
needs_nothing_of_glibc() {
    root_run "$root" sh -c '
        cd /root/closewait/build
        aarch64-linux-gnu-nm -D --defined-only /usr/lib/aarch64-linux-musl/libc.so | cut -d " " -f 3 |
            sort >musl
        aarch64-linux-gnu-nm -D --undefined-only libclosewait.so | grep " U " | tr -s " " |
            cut -d " " -f 3 | sort | comm -23 - musl >lacking
        cat lacking
        test ! -s lacking'
}

# The suites that ask nothing of the kernel but files.
suites='@(endpoint|hindsight|judge|options|suppress|text|trend)'

emulated() { # COMMAND...: with programs of aarch64 run by qemu
    # shellcheck disable=SC2016
    unshare --user --map-root-user --mount --net --pid --fork --kill-child sh -c '
        mount --make-rprivate / && mount -t proc proc "$1/proc" &&
            mount -t binfmt_misc binfmt_misc "$1/mnt" || exit
        magic="\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00"
        mask="\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff"
        printf "%s" ":aarch64:M::$magic:$mask:$1/usr/bin/qemu-aarch64-static:FPC" >"$1/mnt/register" ||
            exit
        exec chroot "$@"' sh "$root" "$@"
}

run_suites() {
    emulated sh -c "cd /root/closewait && BUILD=build build/tests/closewait-tests --timeout 60 \
        --filter '$suites/*' </dev/null"
}

loads() { # LEAKER
    emulated env LD_PRELOAD=/root/closewait/build/libclosewait.so "/root/closewait/build/tests/$1" \
        nothing
}

check "a Debian with a cross compiler" set_up
mkdir -p "$root/root/closewait"
git -C "$here/../.." archive HEAD | tar -C "$root/root/closewait" -x
check "make" build
check "the tests build" build build/tests/closewait-tests build/tests/leaker build/tests/leaker-musl
check "the packages build" packages
check "the shim needs nothing that musl lacks" needs_nothing_of_glibc
check "the unit tests pass in qemu-user" run_suites
check "the shim loads into a program of glibc's" loads leaker
check "the shim loads into a program of musl's" loads leaker-musl
sum_up
