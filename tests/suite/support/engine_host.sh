#!/bin/bash
# A host of its own for a container engine: systemd as process 1 of new namespaces, with a cgroup of its own.
# Used by engine_host.rs.
#
#   engine_host.sh boot DIR SYSTEM IDSHIFT     ends when that host is switched off
#   engine_host.sh clean DIR                   removes its cgroups
#
# DIR/root is its root directory, all its own but for /usr, which is SYSTEM's, read-only. DIR/shared is seen as /shared and
# the program IDSHIFT as /usr/local/bin/idshift.
set -eu
what=$1 dir=$2 root=$2/root system=${3:-} idshift=${4:-}
cgroups=$dir/cgroups cgroup=$dir/cgroups/$(basename "$dir")

case $what in
boot)
    # The cgroup that systemd starts in is the top of its tree.
    mkdir -p "$cgroups"
    mount -t cgroup2 none "$cgroups"
    mkdir -p "$cgroup"
    echo $$ >"$cgroup/cgroup.procs"
    umount "$cgroups"
    exec unshare --kill-child --fork -m -p -n -i -u -C --propagation private bash "$0" inside "$dir" "$system" "$idshift"
    ;;
clean)
    [ -d "$cgroups" ] || exit 0
    mount -t cgroup2 none "$cgroups"
    [ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} +
    umount "$cgroups"
    exit
    ;;
esac

mount --bind "$root" "$root"
mount -o bind,ro "$system/usr" "$root/usr"
mount --bind "$dir/local" "$root/usr/local"
mount --bind "$idshift" "$root/usr/local/bin/idshift"
mount --bind "$dir/shared" "$root/shared"
mount -t proc proc "$root/proc"
# systemd raises limits of the kernel, which is not its own, before anything else. Then the unit PROC_SYS in engine_host.rs
# takes this away: no user namespace may mount a proc of which a part is covered.
mount -o bind,ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "fuse 10 229"; do
    set -- $device
    mknod -m 666 "$root/dev/$1" c "$2" "$3"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
touch "$root/dev/console"
mount --bind "$dir/console" "$root/dev/console"

cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
mount --make-shared /
hostname engine-host
exec env -i container=idshift-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin /sbin/init --log-target=console --show-status=false
