#!/bin/bash
# Uses what populate.sh made: starts it, looks into it, builds on it, and makes new things beside.
#
#   use.sh NAME [MAPPED_ROOT [BUILT [ACL]]]     NAME tells the new things from those of another call; MAPPED_ROOT is the
#                 host's uid of the containers' root; BUILT is the image that the classic builder has cached, or `none`
#                 where no cache was carried; ACL is `none` where images are of the containerd store, whose layers have none
set -euo pipefail
name=$1 mapped=${2:-0} built=${3:-app:1} acl=group:1000:rwx
[ "${4:-}" != none ] || acl=
is() { # EXPECTED COMMAND: prints that
    local found
    found=$("${@:2}" 2>&1) || true
    [ "$found" = "$1" ] || { printf '%s\n  expected: %s\n  found:    %s\n' "${*:2}" "$1" "$found" >&2; exit 1; }
}

quiet() { # COMMAND: prints what it said only when it fails
    said=$("$@" 2>&1) || { printf '%s\n%s\n' "$*" "$said" >&2; exit 1; }
}

# Containers that were run before are run again, at once; the others have what they wait for.
printf '%s\n' local-log json-log read-only renamed bound odd from host-users host-pid host-net addressed never |
    xargs -P 6 -I NAME sh -c 'docker start -a NAME >/dev/null 2>&1; echo "NAME $?"' >/root/codes
is '' grep -vE ' 0$|^odd 3$' /root/codes
quiet docker start healthy joined

# They run as who they should, and the owners of their files are theirs.
pid() { docker inspect -f '{{.State.Pid}}' "$1"; }
uid() { awk '/^Uid:/ { print $2 }' "/proc/$(pid "$1")/status"; }
is $((mapped + 1000)) uid healthy
is "$mapped" uid always
in_app() { docker exec -u 0 healthy sh -c "$1"; }
is '4755 0:0 2775 0:1000 755 1000:1000 644 1000:1000' in_app \
    'echo $(stat -c "%a %u:%g" /opt/setuid /opt/setgid /home/app /copied)'
is '/opt/raw cap_net_raw=ep' in_app 'getcap /opt/raw'
is 'y 2' in_app 'echo $(ls /opt/dir) $(stat -c %h /opt/raw2); test ! -e /opt/gone'
is '' docker run --rm --network none app:1 /opt/setuid -m u:7:r /etc/group
in_volume() { docker run --rm --network none -v named:/named -v labelled:/labelled base:1 sh -c "$1"; }
is '/named/raw cap_net_raw=ep' in_volume 'getcap /named/raw'
is '4755 0:0 2 8388608' in_volume 'echo $(stat -c "%a %u:%g" /named/setuid) $(stat -c %h /named/raw2) $(stat -c %s /named/sparse)'
is 'user:1000:rwx default:user:1000:r-x' in_volume 'echo $(getfacl -n /named/acl 2>/dev/null | grep 1000)'
is '1000:1000' in_volume 'stat -c %u:%g /labelled'
is 'secret config' docker exec "$(docker ps -q --filter name=service.1)" sh -c 'echo $(cat /run/secrets/secret /config)'
is 'one two' docker run --rm --network none kit:1 sh -c 'echo $(cat /one /two)'
is "7:8 750 4750 cap_net_raw=ep${acl:+ $acl}" docker run --rm --network none kit:1 sh -c \
    'echo $(stat -c %u:%g /two) $(stat -c %a /context /kit/setuid) $(getcap /kit/raw | cut -d" " -f2) $(getfacl -n /kit 2>/dev/null | grep group:1000)'

# Both builders' caches hold, and so does the cache mount.
classic() { DOCKER_BUILDKIT=0 docker build "$@"; }
buildkit() { DOCKER_BUILDKIT=1 docker build --progress plain "$@"; }
quiet classic -t "again:$name" /root/build
[ "$built" = none ] || is '' grep 'Running in' <<<"$said"
[ "$built" = none ] || is "$(docker inspect -f '{{.Id}}' "$built")" docker inspect -f '{{.Id}}' "again:$name"
quiet buildkit --secret id=s,src=/root/kit/.secret -t "kit-again:$name" /root/kit
[ "$built" = none ] || is 6 grep -c CACHED <<<"$said"
mkdir -p "/root/new-$name"
cat >"/root/new-$name/Dockerfile" <<END
FROM kit:1
RUN --mount=type=cache,target=/cache test "\$(stat -c %u /cache/count) \$(cat /cache/count)" = "1000 1" && echo $name > /new && chown 5:6 /new
END
quiet buildkit -t "new-kit:$name" "/root/new-$name"
cat >"/root/new-$name/Dockerfile" <<END
FROM app:1
USER 0
RUN test -e /tmp/onbuild && rm /opt/dir/y && echo $name > /opt/dir/new && chown 1000:1000 /opt/dir/new && chmod 4711 /opt/dir/new
END
quiet classic -t "new:$name" "/root/new-$name"

# New containers, volumes, networks; a layer written on.
quiet docker network create "new-$name"
quiet docker volume create --label "new=$name" "labelled-$name"
quiet docker run --name "new-$name" --network "new-$name" -u 0 -v "new-$name:/new" -v named:/named -v "labelled-$name:/l" "new:$name" sh -c "
    cat /opt/dir/new; echo $name > /new/file; chown 1000:1000 /new /new/file; echo $name > /named/$name; chown 7:7 /named/$name
    rm -r /opt/dir; mkdir /opt/dir; cp /bin/getcap /opt/new; setcap cap_net_raw+ep /opt/new; setfacl -m u:1000:r /opt/new"
quiet docker run -d --name "always-$name" --restart always --stop-timeout 1 --network none -u 1000 base:1 sleep 100000
quiet docker commit "new-$name" "committed:$name"
quiet docker secret create "secret-$name" - <<<"$name"
quiet docker stop -t 0 healthy joined
# Of an earlier call, there or on the other side.
for earlier in $(docker ps -a --format '{{.Names}}' | sed -n 's/^new-//p' | grep -vx "$name"); do
    is "$earlier" docker run --rm --network none -v "new-$earlier:/new" "new:$earlier" \
        sh -c 'sort -u /opt/dir/new /new/file'
done
