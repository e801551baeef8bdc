#!/usr/bin/env bash
# What `make deb` made, in a fresh Debian: it installs, the README's examples work from the installed
# files and say what the README says, one LD_PRELOAD serves programs of both word sizes, and a purge
# leaves nothing. BUILD names the build tree. Ends with "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/long/root.sh
source "$here/root.sh"
root_begin deb

inside() {
    root_run "$root" "$@"
}

files() { # but for those that apt and dpkg keep of any installation
    find "$root" -xdev \( -path "$root/var/lib/apt" -o -path "$root/var/cache" -o -path "$root/var/log" \
        -o -path "$root/var/lib/dpkg" -o -path "$root/proc" -o -path "$root/root" \) -prune \
        -o -printf '%P\n' | grep -v -e '^etc/ld.so.cache$' -e '__pycache__' | sort
}

purge() {
    inside apt-get -q -y purge closewait libclosewait:amd64 libclosewait:i386 &&
        inside apt-get -q -y --purge autoremove && files >"$work/after" &&
        diff "$work/before" "$work/after" &&
        ! inside sh -c "dpkg-query -W -f '\${db:Status-Abbrev} \${Package}\n' | grep closewait"
}

set_up() {
    root_make "$root" && inside dpkg --add-architecture i386 && inside apt-get -q update &&
        inside apt-get -q -y --no-install-recommends install libc6:i386 &&
        files >"$work/before"
}

install_packages() {
    mkdir -p "$root/root/packages" && cp "$build"/deb/*.deb "$root/root/packages" &&
        inside sh -c 'cd /root/packages && apt-get -q -y --no-install-recommends install \
            ./closewait_*_amd64.deb ./libclosewait_*_amd64.deb ./libclosewait_*_i386.deb'
}

check "a fresh Debian" set_up
check "the packages install" install_packages
check "the command is of this version" \
    grep -qx "closewait $(make -s -C "$here/../.." version)" <(inside closewait --version)
for manual in man1/closewait.1 man8/libclosewait.so.8; do
    check "the manual $manual has the installation's paths" sh -c \
        "gzip -dc $root/usr/share/man/$manual.gz >$work/manual && ! grep -q /usr/local $work/manual"
done
check "bash completes it" inside bash -c \
    '. /usr/share/bash-completion/completions/closewait && complete -p closewait'

mkdir "$root/root/bin"
cp "$build/demo/client" "$build/demo/server" "$build/tests/leaker" "$root/root/bin"
cp "$build/m32/tests/leaker" "$root/root/bin/leaker-32"
cp "$here/readme.sh" "$here/checks.sh" "$here/../../README.md" "$root/root"
root_run_alone "$root" bash /root/readme.sh /root/README.md >"$work/readme" 2>&1
cat "$work/readme"
passed=$((passed + $(grep -c '^ok ' "$work/readme")))
failed=$((failed + $(grep -c '^not ok ' "$work/readme")))
check "every example of the README was run" \
    test "$(grep -c '^ *\$ ' "$here/../../README.md")" -eq "$(grep -c 'ok \$ ' "$work/readme")"

check "a purge leaves nothing" purge
sum_up
