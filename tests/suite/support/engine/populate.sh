#!/bin/bash
# Fills a Docker engine with what people keep in one. Runs in the host, and needs no network.
#
#   populate.sh [--userns=host]     an option for the containers that a remapped daemon does not take without it
#
# What runs at the end: `always`, `unless`, `healthy`, `joined`, the compose project and the service.
set -euo pipefail
marked=${1:-}
has() { docker "$1" version >/dev/null 2>&1; }
quiet() { "$@" >/dev/null; }

# An image of busybox, and of what sets ACLs and capabilities.
mkdir -p /root/base/{bin,etc,tmp,lib64,root} /root/build /root/kit /srv/{bind,device}
cd /root/base
cp /usr/bin/{busybox,setfacl,getfacl} /usr/sbin/{setcap,getcap} bin
ldd bin/setfacl bin/getfacl bin/setcap bin/getcap | grep -o '/[^ ]*lib[^ :]*' | sort -u |
    while read -r lib; do cp --parents -L "$lib" .; done
chroot . /bin/busybox --install -s /bin
chmod 1777 tmp
printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n' >etc/passwd
printf 'root:x:0:\napp:x:1000:\n' >etc/group
tar -c . | quiet docker import - base:1

# The classic builder, which keeps no ACLs, and whose COPY --from fails in a remapped daemon. Layers with set-id bits, capabilities, hard links,
# whiteouts, an opaque directory.
cat >/root/build/Dockerfile <<'END'
FROM base:1
LABEL part=classic
ENV A=1 B="two words"
RUN mkdir /made && echo made > /made/file && chown -R 1000:1000 /made
COPY --chown=1000:1000 copied /copied
RUN mkdir -p /opt/dir /home/app && chown app:app /home/app && echo gone > /opt/gone && echo x > /opt/dir/x \
 && cp /bin/setfacl /opt/setuid && chmod 4755 /opt/setuid && cp /bin/getcap /opt/raw && setcap cap_net_raw+ep /opt/raw \
 && ln /opt/raw /opt/raw2 && mkdir /opt/setgid && chown 0:1000 /opt/setgid && chmod 2775 /opt/setgid
RUN rm /opt/gone && rm -r /opt/dir && mkdir /opt/dir && echo y > /opt/dir/y \
 && mkfifo /opt/fifo && ln -s /opt/dir /opt/link
HEALTHCHECK --interval=1s CMD test -e /opt/dir/y
ONBUILD RUN echo onbuild > /tmp/onbuild
VOLUME /data
WORKDIR /home/app
USER app
CMD ["sleep", "100000"]
END
echo copied >/root/build/copied
quiet env DOCKER_BUILDKIT=0 docker build -t app:1 /root/build
docker tag app:1 registry.example:5000/team/app:latest

# BuildKit, with a cache mount, a secret and a build in two stages that run beside each other.
cat >/root/kit/Dockerfile <<'END'
FROM base:1 AS one
RUN --mount=type=cache,target=/cache echo 1 >> /cache/count && chown 1000 /cache/count && echo one > /one
FROM base:1 AS two
RUN --mount=type=secret,id=s,required test -s /run/secrets/s && echo two > /two && chown 1000:1000 /two
FROM base:1
COPY --from=one /one /one
COPY --from=two --chown=7:8 /two /two
COPY --chmod=750 context /context
RUN mkdir /kit && setfacl -m g:1000:rwx /kit && cp /bin/getcap /kit/raw && setcap cap_net_raw+ep /kit/raw \
 && cp /bin/setfacl /kit/setuid && chmod 4750 /kit/setuid
CMD ["cat", "/one", "/two"]
END
echo context >/root/kit/context
echo secret >/root/kit/.secret
quiet env DOCKER_BUILDKIT=1 docker build -q --secret id=s,src=/root/kit/.secret -t kit:1 /root/kit

# Volumes: plain, with labels, with options of the local driver; a directory of the host to bind.
chown 1000:1000 /srv/bind
echo device >/srv/device/file
docker volume create named
docker volume create --label kept=yes labelled
docker volume create -o type=tmpfs -o device=tmpfs -o o=size=1m memory
docker volume create -o type=none -o o=bind -o device=/srv/device elsewhere
docker network create --subnet 10.77.0.0/16 --label kept=yes net
docker network create --internal inside

make() { # NAME OPTIONS IMAGE COMMAND: created only
    local name=$1
    shift
    quiet docker create --name "$name" "$@"
}
to_run=()
ran() { # NAME OPTIONS IMAGE COMMAND: without a network; started, and over
    make "$1" --network none "${@:2}"
    to_run+=("$1")
}
run_all() { # Their exit codes are compared.
    printf '%s\n' "${to_run[@]}" | xargs -P 6 -I NAME sh -c 'docker start -a NAME >/dev/null 2>&1 || true'
    to_run=()
}

# Containers that were run: their layers, their logs.
ran written -v named:/named -v labelled:/labelled -u 0 app:1 sh -c '
    echo hi > /home/app/f; chown 1000 /home/app/f; setfacl -m u:1000:rwx /home/app/f
    rm /opt/dir/y; rm -r /made; mkdir /made; echo new > /made/new; mkfifo /opt/new-fifo
    cp /bin/getcap /opt/new-raw; setcap cap_net_raw+ep /opt/new-raw; chmod 6755 /opt/setuid
    cp /bin/getcap /named/raw; setcap cap_net_raw+ep /named/raw; cp /bin/busybox /named/setuid; chmod 4755 /named/setuid
    mkdir /named/acl; setfacl -m u:1000:rwx,d:u:1000:rx /named/acl; echo 1 > /named/acl/1; chown -R 1000:1000 /labelled
    truncate -s 8M /named/sparse; ln /named/raw /named/raw2; ln -s raw /named/link; echo anonymous > /data/file'
ran local-log --log-driver local --log-opt max-size=1m base:1 sh -c 'echo out; echo err >&2'
ran json-log --log-opt max-file=2 --log-opt max-size=1m --log-opt labels=a --label a=b base:1 sh -c 'echo out; echo err >&2'
ran read-only --init --log-driver none --read-only --tmpfs /run:size=1m -v labelled:/labelled:ro base:1 sh -c '! touch /x'
ran bound -v /srv/bind:/bind -v /etc/hostname:/file:ro -v memory:/memory -v elsewhere:/elsewhere:ro -u 1000 base:1 \
    cat /elsewhere/file
ran odd --hostname odd --add-host a.example:10.0.0.1 --dns 10.0.0.2 --ulimit nofile=100:200 --sysctl net.ipv4.ip_forward=0 \
    --cap-add NET_ADMIN --cap-drop MKNOD --security-opt no-new-privileges --shm-size 1m --group-add 7 --device /dev/zero \
    --tmpfs /t --mount type=tmpfs,dst=/tt --stop-signal INT --stop-timeout 3 --restart on-failure:1 \
    -w /tmp -e E=e --env A=b --entrypoint /bin/sh base:1 -c 'echo odd > /odd; exit 3'
ran renamed-from base:1 touch /file
run_all
docker rename renamed-from renamed
docker cp /root/build/copied renamed:/etc/copied
docker commit -c 'LABEL from=commit' written committed:1
docker commit written

ran from --volumes-from written:ro base:1 cat /named/acl/1
ran host-users --userns host -v labelled:/labelled:ro base:1 sh -c 'echo host > /host; chown 1000 /host'
make addressed --network net --ip 10.77.1.1 --network-alias also -p 127.0.0.1:7777:77 base:1 true
docker network connect inside addressed
to_run+=(addressed)
# Those that cannot run remapped unless they are marked so.
ran host-pid --pid host $marked base:1 true
make host-net --network host $marked base:1 true
to_run+=(host-net)
run_all
make privileged --privileged $marked base:1 true
make host-ipc --ipc host $marked base:1 true
make never -v never:/never base:1 true

# Those that run.
start() { docker run -d --name "$@"; }
start healthy --network none --health-cmd 'test -e /bin/sh' --health-interval 1s app:1
start joined --network container:healthy --pid container:healthy --ipc shareable base:1 sleep 100000
start always --restart always --stop-timeout 1 -v named:/named base:1 sleep 100000
start unless --stop-timeout 1 --restart unless-stopped --network net --init base:1 sleep 100000

if has compose; then
    mkdir -p /root/project
    cat >/root/project/compose.yaml <<'END'
services:
  web:
    image: app:1
    restart: always
    stop_grace_period: 1s
    environment: {A: b}
    volumes: ["data:/data", "./conf:/conf:ro"]
    networks: [front]
    secrets: [word]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: base:1
    init: true
    command: sleep 100000
    restart: always
    stop_grace_period: 1s
    healthcheck: {test: "true", interval: 1s}
    volumes: ["db:/db"]
    networks: [front, back]
volumes: {data: {}, db: {labels: {a: b}}}
networks: {front: {}, back: {internal: true}}
secrets: {word: {file: ./word}}
END
    echo conf >/root/project/conf
    echo word >/root/project/word
    docker compose --progress quiet -f /root/project/compose.yaml up -d --quiet-pull
fi

quiet docker swarm init --advertise-addr 127.0.0.1
echo secret | docker secret create secret -
echo config | docker config create config -
docker service create --detach --name service --network bridge --secret secret --config source=config,target=/config \
    --mount type=volume,src=service,dst=/service --stop-grace-period 1s --restart-delay 0s --user 1000 base:1 sleep 100000
for _ in $(seq 300); do
    [ "$(docker service ls --format '{{.Replicas}}')" = 1/1 ] && break
    sleep 0.2
done
