#!/bin/bash
# Uses what populate.sh made: starts it, looks into it, makes new things beside, and stops all of it.
#
#   use.sh NAME MAPPED_ROOT MAPPED_APP     NAME tells the new things from those of another call; the host's uids of the
#                                          containers' root and of their uid 1000
set -euo pipefail
name=$1 mapped_root=$2 mapped_app=$3
is() { # EXPECTED COMMAND: prints that
    local found
    found=$("${@:2}" 2>&1) || true
    [ "$found" = "$1" ] || { printf '%s\n  expected: %s\n  found:    %s\n' "${*:2}" "$1" "$found" >&2; exit 1; }
}
quiet() { # COMMAND: prints what it said only when it fails
    said=$("$@" 2>&1) || { printf '%s\n%s\n' "$*" "$said" >&2; exit 1; }
}
uid() { # CONTAINER: of its first process, on the host
    awk '/^Uid:/ { print $2 }' "/proc/$(podman inspect -f '{{.State.Pid}}' "$1")/status"
}

quiet podman start idle default netted healthy always
quiet podman pod start pod
is "$mapped_app" uid idle
is "$mapped_app" uid member
is "$mapped_root" uid always
is said podman start -a logged
is wordword podman start -a secret
is $'/etc/apt: new /opt/dir: z /opt/new-raw cap_net_raw=ep 6755 anonymous\nuser:1000:rwx' podman start -a written
is bind podman start -a bound
quiet podman healthcheck run healthy
is 10.77.0.9 podman inspect -f '{{.NetworkSettings.Networks.net.IPAddress}}' netted

inside() { podman exec -u "$1" idle sh -c "$2"; }
is '4755 0:0 2775 0:1000 755 1000:1000' inside 0 'echo $(stat -c "%a %u:%g" /opt/setuid /opt/setgid /home/app)'
is '/opt/raw cap_net_raw=ep' inside 0 'getcap /opt/raw'
is 'y z 2' inside app 'echo $(ls /opt/dir) $(stat -c %h /opt/raw2); test ! -e /opt/gone'
is '0' inside app '/opt/setuid; echo $?'
is "1000:1000 $name" inside app "echo $name > /owned/$name && echo \$(stat -c %u:%g /owned) \$(cat /owned/$name)"
in_volume() { podman run --rm --network none -v named:/named base:1 sh -c "$1"; }
is '/named/raw cap_net_raw=ep' in_volume 'getcap /named/raw'
is '4755 0:0 2 8388608 1000:1000' in_volume 'echo $(stat -c "%a %u:%g" /named/setuid) $(stat -c %h /named/raw2) $(stat -c %s /named/sparse) $(stat -c %u:%g /named)'
is 'user:1000:rwx default:user:1000:r-x' in_volume 'echo $(getfacl -n /named/acl 2>/dev/null | grep 1000)'

# New ones: an image, a volume, a network, a secret, containers.
mkdir -p "$HOME/new-$name"
cat >"$HOME/new-$name/Dockerfile" <<END
FROM app:1
USER 0
RUN rm -r /opt/dir && mkdir /opt/dir && echo $name > /opt/dir/new && chown 1000:1000 /opt/dir/new && chmod 4711 /opt/dir/new \
 && cp /bin/true /opt/new-raw && setcap cap_net_raw+ep /opt/new-raw
END
quiet podman build --network none -t "new:$name" "$HOME/new-$name"
quiet podman network create "new-$name"
echo -n "$name" | quiet podman secret create "secret-$name" -
quiet podman run --name "new-$name" --network none --secret "secret-$name" -v "new-$name:/new" "new:$name" \
    sh -c "cat /run/secrets/secret-$name > /new/file; chown 1000:1000 /new/file; rm /etc/passwd; echo $name > /etc/issue"
quiet podman create --name "netted-$name" --network "new-$name" app:1
quiet podman commit "new-$name" "committed:$name"

# Of an earlier call, here or on the other side.
for earlier in $(podman ps -a --format '{{.Names}}' | sed -n 's/^new-//p' | grep -vx "$name"); do
    is "$earlier $earlier 1000 4711 /opt/new-raw cap_net_raw=ep" podman run --rm --network none -v "new-$earlier:/new" "new:$earlier" sh -c \
        'echo $(cat /opt/dir/new /new/file) $(stat -c %u /new/file) $(stat -c %a /opt/dir/new) $(getcap /opt/new-raw)'
    quiet podman start "netted-$earlier"
done
quiet podman stop -a -t 0
