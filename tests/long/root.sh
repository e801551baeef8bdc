# shellcheck shell=bash
# A fresh Debian to install into: this machine's release, from the mirror that its own apt has at
# that moment. To be sourced; it takes root, debootstrap and a mirror. With the verdicts of checks.sh.

# Ends the test where there can be none. The folder $work is gone at the test's end, and $root, which
# is to be made, with it.
root_begin() { # NAME
    local why
    why=$(root_refusal)
    if [ -n "$why" ]; then
        echo "skipped: it takes a Debian of its own, and $why"
        exit
    fi
    work=$(mktemp -d "/var/tmp/closewait-$1-XXXXXX")
    chmod 755 "$work"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    # shellcheck disable=SC2034 # the test's
    root=$work/root
}

# The reason why there can be none; nothing when there can.
root_refusal() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "only root can make one"
    elif ! PATH=$PATH:/usr/sbin command -v debootstrap >/dev/null; then
        echo "there is no debootstrap"
    elif [ -z "$(root_mirror)" ]; then
        echo "apt knows of no mirror of Debian's ${VERSION_CODENAME:-release}"
    fi
}

root_mirror() {
    # shellcheck disable=SC2016 # apt's own words
    apt-get indextargets --format '$(REPO_URI)' "Codename: $VERSION_CODENAME" 'Component: main' \
        'Created-By: Packages' 2>/dev/null | head -n 1
}

root_make() { # FOLDER PACKAGE...
    local folder=$1 include
    shift
    include=$(IFS=,; echo "$*")
    PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase ${include:+"--include=$include"} \
        "$VERSION_CODENAME" "$folder" "$(root_mirror)" || return
    # No package starts a server there.
    printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
    chmod 755 "$folder/usr/sbin/policy-rc.d"
}

# The root is a mount of its own, as it is on a machine. unshare's words come as one, in $0.
root_enter() { # NAMESPACES FOLDER COMMAND...
    local namespaces=$1
    shift
    # shellcheck disable=SC2016,SC2086
    unshare --mount $namespaces sh -c '
        case $0 in *--net*) ip link set lo up ;; esac
        mount --make-rprivate / && mount --bind "$1" "$1" && mount -t proc proc "$1/proc" &&
            mount --rbind /dev "$1/dev" && mount --rbind /sys "$1/sys" || exit
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
            LC_ALL=C chroot "$@"' "$namespaces" "$@"
}

# What is mounted or goes on running in it is gone with the command.
root_run() { # FOLDER COMMAND...
    root_enter '--pid --fork --kill-child' "$@"
}

# The same in a network of its own, where every port is free.
root_run_alone() { # FOLDER COMMAND...
    root_enter '--net --pid --fork --kill-child' "$@"
}

# shellcheck source=/dev/null
source /etc/os-release
# shellcheck source=tests/long/checks.sh
source "${BASH_SOURCE%/*}/checks.sh"
