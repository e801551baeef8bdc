#!/usr/bin/env bash
# The release tarball: the same bytes each time, and in a fresh Debian, which has nothing but make, its
# own commands get what they miss, build it and pass. BUILD names the build tree. Ends with
# "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
here=$(dirname "$(realpath "$0")")
# shellcheck source=tests/long/root.sh
source "$here/root.sh"
root_begin dist

make_dist() {
    make -C "$here/../.." BUILD="$build" dist
}

is_the_same_again() {
    make_dist && cp "$build/$name.tar.gz" "$work/first.tar.gz" && sleep 1 && make_dist &&
        cmp "$work/first.tar.gz" "$build/$name.tar.gz"
}

in_tree() {
    root_run "$root" make -C "/root/$name" "$@"
}

# A network of its own and the machine's processes: the tests name a thread of the kernel.
test_it() {
    root_enter --net "$root" make -C "/root/$name" test
}

name=closewait-$(make -s -C "$here/../.." version)
check "the tarball has the same bytes each time" is_the_same_again
check "a fresh Debian" root_make "$root" make
check "the tarball unpacks" tar -C "$root/root" --no-same-owner -xf "$build/$name.tar.gz"
check "make deps-test" in_tree deps-test
check "make" in_tree
check "make test" test_it
sum_up
