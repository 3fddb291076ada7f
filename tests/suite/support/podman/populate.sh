#!/bin/bash
# Fills root's store of Podman with one of everything that a rootless Podman can run, too. Nothing runs when it ends.
#
#   populate.sh     /shared/debian.tar is a root filesystem to import
set -euo pipefail
quiet() { # COMMAND: prints what it said only when it fails
    said=$("$@" 2>&1) || { printf '%s\n%s\n' "$*" "$said" >&2; exit 1; }
}
make() { # NAME OPTIONS IMAGE COMMAND: created only
    local name=$1
    shift
    quiet podman create --name "$name" "$@"
}

quiet podman import /shared/debian.tar base:1
mkdir -p /root/build /srv/bind
cat >/root/build/Dockerfile <<'END'
FROM base:1
RUN useradd -u 1000 -m app \
 && cp /bin/true /opt/setuid && chmod 4755 /opt/setuid \
 && cp /bin/true /opt/raw && setcap cap_net_raw+ep /opt/raw && ln /opt/raw /opt/raw2 \
 && mkdir /opt/setgid && chown 0:1000 /opt/setgid && chmod 2775 /opt/setgid \
 && echo a > /opt/gone && mkdir /opt/dir && echo x > /opt/dir/x
RUN rm /opt/gone && rm -r /opt/dir && mkdir /opt/dir && echo y > /opt/dir/y && echo z > /opt/dir/z \
 && mkfifo /opt/fifo
VOLUME /data
USER app
CMD ["sleep", "100000"]
END
quiet podman build --network none -t app:1 /root/build
echo bind >/srv/bind/file
chown 1000:1000 /srv/bind

podman volume create --label kept=yes named
podman volume create -o o=uid=1000,gid=1000 owned
podman volume create -o type=tmpfs -o device=tmpfs -o o=size=1m memory
podman network create --subnet 10.77.0.0/24 --label kept=yes net
podman network create --internal inside
echo -n word | podman secret create word -

# Run, and over: a layer and a volume with something of everything. Started again, the first says what it has.
quiet podman run --network none --name written -v named:/named --user 0 app:1 sh -c '
    if test -e /home/app/f; then
        echo $(ls /opt/dir /etc/apt) $(getcap /opt/new-raw) $(stat -c %a /opt/setuid) $(cat /data/file)
        getfacl -n /home/app/f 2>/dev/null | grep user:1000
        exit
    fi
    echo hi > /home/app/f; chown app /home/app/f; setfacl -m u:1000:rwx /home/app/f
    rm /opt/dir/y; rm -r /etc/apt; mkdir /etc/apt; echo new > /etc/apt/new; mkfifo /opt/new-fifo
    cp /bin/true /opt/new-raw; setcap cap_net_raw+ep /opt/new-raw; chmod 6755 /opt/setuid
    cp /bin/true /named/raw; setcap cap_net_raw+ep /named/raw; ln /named/raw /named/raw2; ln -s raw /named/link
    cp /bin/true /named/setuid; chmod 4755 /named/setuid; truncate -s 8M /named/sparse
    mkdir /named/acl; setfacl -m u:1000:rwx,d:u:1000:rx /named/acl; chown 1000:1000 /named
    echo anonymous > /data/file'
quiet podman run --network none --name logged --log-driver k8s-file base:1 echo said
quiet podman run --network none --name secret --secret word --secret word,type=env,target=WORD base:1 \
    sh -c 'cat /run/secrets/word; echo "$WORD"'

make idle --network none -v owned:/owned -v memory:/memory --env A=b --label c=d app:1
make bound --network none -v /srv/bind:/bind:ro base:1 cat /bind/file
make default app:1
make netted --network net --ip 10.77.0.9 -p 8080:80 app:1
make healthy --network none --health-cmd 'test -e /opt/dir/z' --health-interval 60s app:1
make always --network none --restart always --stop-timeout 1 --read-only --tmpfs /t base:1 sleep 100000
quiet podman pod create --name pod -p 8081:81
make member --pod pod app:1
