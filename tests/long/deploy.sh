#!/usr/bin/env bash
# docs/deploy/README.md by the letter: boots Debian with systemd in a container, types what is after
# each "# " of it there, again until it works, and looks at what came of it. Takes root, debootstrap
# and systemd-nspawn, and ten minutes. BUILD names the build tree; packages in it (make deb) are what
# is installed, or else make install. Ends with "N passed, N failed".
set -u
build=$(realpath "${BUILD:-build}")
top=$(realpath "$(dirname "$0")/../..")
deploy=$top/docs/deploy
PATH=$PATH:/usr/sbin:/sbin
for tool in debootstrap systemd-nspawn; do
    if [ "$(id -u)" -ne 0 ] || ! command -v $tool >/dev/null; then
        echo "skipped: it takes root, and $tool"
        exit 0
    fi
done
work=$(mktemp -d)
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT

# What the packages need, and what README installs later, is there: the container has no network.
include=systemd-sysv,dbus,procps,python3-minimal,curl,prometheus,prometheus-node-exporter
include=$include,libjansson4,libsmartcols1,libmnl0,libdw1,libelf1,libbsd0
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -n 1)
if ! debootstrap --variant=minbase --include=$include \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "$mirror" >"$work/log" 2>&1; then
    echo "not ok debootstrap"
    tail -n 20 "$work/log"
    exit 1
fi

# As Debian's installer writes it.
echo '127.0.0.1 localhost' >"$root/etc/hosts"
mkdir "$root/trial"
cp "$top/tests/long/checks.sh" "$root/trial/"
sed -n 's/^    # //p' "$deploy/README.md" >"$root/trial/commands"
if ls "$build"/deb/closewait_*.deb >/dev/null 2>&1; then
    cp "$build"/deb/*.deb "$root/trial/"
else
    # As from source: what the two lines about packages would have done.
    make -s -C "$top" BUILD="$build" PREFIX=/usr/local DESTDIR="$root" install >"$work/log" 2>&1
    chroot "$root" ldconfig
    mkdir -p "$root/usr/share/doc/closewait/examples"
    cp -r "$deploy" "$root/usr/share/doc/closewait/examples/"
    sed -i /libclosewait_/d "$root/trial/commands"
fi

cat >"$root/trial/run" <<'RUN'
source /trial/checks.sh
show() { # STATUS WHAT: what was said is in /trial/said
    verdict "$1" "$2"
    head -n 6 /trial/said | cut -c 1-160 | sed 's/^/    /'
}
type_it() { # COMMAND: for seven minutes at the most
    for _ in $(seq 140); do
        eval "$1" >/trial/said 2>&1 </dev/null && return
        sleep 3
    done
    return 1
}
seccomp_of_watch() {
    grep Seccomp: "/proc/$(systemctl show -p MainPID --value closewait-watch@legacy)/status"
}
arguments_of_watch() {
    tr '\0' ' ' <"/proc/$(systemctl show -p MainPID --value closewait-watch@legacy)/cmdline"
}
nothing_said() {
    "$@" >/trial/said 2>&1 && ! [ -s /trial/said ]
}
cd /trial || exit 1
start=$SECONDS
while IFS= read -r command <&3; do
    type_it "$command"
    show $? "$command"
    case $command in
    *'enable --now'*)
        nothing_said systemd-analyze verify --man=no closewait-watch@legacy.service
        show $? 'systemd-analyze finds nothing wrong with the unit'
        systemd-analyze security closewait-watch@legacy.service 2>&1 | grep Overall >/trial/said
        show $? 'and this is how exposed it is'
        seccomp_of_watch >/trial/said 2>&1
        grep -q 2 /trial/said
        show $? 'a watcher that tells is under a filter'
        ;;
    *Closewait*) [ $((SECONDS - start)) -lt 600 ]; show $? "an alert after $((SECONDS - start)) s" ;;
    esac
done 3</trial/commands
nothing_said systemd-analyze verify --man=no closewait-watch@legacy.service
show $? 'systemd-analyze finds nothing wrong with the unit that closes'
seccomp_of_watch >/trial/said 2>&1
grep -q 0 /trial/said
show $? 'a watcher that closes is under none'
install -m 644 /usr/share/doc/closewait/examples/deploy/watch-journal.conf \
    /etc/systemd/system/closewait-watch@legacy.service.d/journal.conf
systemctl daemon-reload
systemctl restart closewait-watch@legacy
type_it "arguments_of_watch | grep -e '--action=close --output=journal --format=json'"
show $? 'with both drop-ins it closes, and reports to the journal'
nothing_said systemd-analyze verify --man=no closewait-watch@legacy.service
show $? 'systemd-analyze finds nothing wrong with the unit with both'
type_it '! closewait ps | grep legacy'
show $? 'nothing is left in CLOSE_WAIT'
systemctl is-active legacy prometheus prometheus-node-exporter closewait-watch@legacy >/trial/said
show $? 'all services are up'
journalctl -u closewait-watch@legacy >/trial/journal
sum_up
RUN
cat >"$root/etc/systemd/system/trial.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
ExecStart=/bin/bash /trial/run
ExecStopPost=/bin/systemctl poweroff --force
StandardOutput=file:/trial/out
StandardError=inherit
[Install]
WantedBy=default.target
UNIT
systemctl --root="$root" -q enable trial.service

# In a mount namespace of its own: nspawn wants cgroup2 and nothing else there. Without nspawn's filter
# of system calls, under which nobody can suspend another's, nor call pidfd_getfd.
cat >"$work/boot" <<'BOOT'
if ! [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
fi
SYSTEMD_SECCOMP=0 exec systemd-nspawn -q --register=no --keep-unit --private-network --capability=all -D "$1" -b \
    systemd.unified_cgroup_hierarchy=1 systemd.show_status=0
BOOT
timeout 1500 unshare --mount --pid --fork --mount-proc bash "$work/boot" "$root" \
    >"$work/log" 2>&1 </dev/null
cat "$root/trial/out" 2>/dev/null || tail -n 20 "$work/log"
grep -q ' passed, 0 failed$' "$root/trial/out"
