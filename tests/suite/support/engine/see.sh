#!/bin/bash
# What a user sees of a Docker engine, a line for each thing: `KIND NAME WHAT`.
#
#   see.sh DATA_ROOT       the docker root of the daemon that runs; it is written as R
#
# Lines of kind `image` and `save` hold ids and layouts of images; all else is the same in any image store.
set -euo pipefail
root=$1

# Left out is what a daemon or a container gets anew at each start, remapped or not: process and network ids, addresses,
# times, health and its commands, the order of mounts; the gateway of a network, which 20.10 adds; the version of a
# swarm's objects; the log of a container that never ran, which `docker logs` sets; whether what is not given is null or an
# empty list; and what Docker says a volume was created at, which is the ctime of its directory.
volatile='del(.Pid, .StartedAt, .FinishedAt, .SandboxID, .SandboxKey, .EndpointID, .Gateway, .IPAddress, .IPPrefixLen,
    .MacAddress, .DNSNames, .GwPriority, .NetworkID, .Health, .Version, .PreviousSpec, .UpdatedAt, .LastTagTime, .ExecIDs)'
jsons() { # KIND JQ: a line for each element
    jq -r --arg kind "$1" "
        def stable: walk(if type == \"object\" then $volatile | map_values(if . == null then [] else . end) else . end);
        .[] | $2 | \"\(\$kind) \(.name) \(.what | tojson)\"" | sed "s|$root|R|g"
}
for try in {1..100}; do
    [ "$(docker service ls --format '{{.Replicas}}' | sort -u)" = 1/1 ] && break
    sleep 0.2
done
tasks=$(docker ps -aq --no-trunc --filter label=com.docker.swarm.task)
own=$(docker ps -aq --no-trunc | grep -vxF "${tasks:-none}")
images=$(docker images -aq --no-trunc | sort -u)

docker inspect $own | jsons container '{name: .Name, what: (stable | .Mounts |= sort | del(.NetworkSettings.Ports) |
    if .State.Status == "created" then del(.LogPath) else . end)}'
docker inspect $images | jsons image '{name: .Id, what: stable}'
docker volume inspect $(docker volume ls -q) | jsons volume '{name: .Name, what: (del(.CreatedAt))}'
docker network inspect $(docker network ls -q --no-trunc) | jsons network '
    {name: .Name, what: (stable | del(.Containers, .Peers, .Created) | if .Name == "bridge" then del(.Id) else . end)}'
docker secret inspect $(docker secret ls -q) | jsons secret '{name: .Spec.Name, what: stable}'
docker config inspect $(docker config ls -q) | jsons config '{name: .Spec.Name, what: stable}'
docker service inspect $(docker service ls -q) | jsons service '{name: .Spec.Name, what: stable}'
docker node inspect self | jsons node '{name: .ID, what: .Spec}'
docker images --no-trunc --format 'tag {{.Repository}}:{{.Tag}} {{.CreatedAt}}' | sort

# NAME: what it changed and said; who runs in it, where it runs.
one() {
    docker diff "$1" | sort | sed "s|^|diff $1 |"
    docker logs "$1" 2>&1 | sed "s|^|log $1 |"
}
who() {
    docker exec "$1" id | sed "s|^|id ${1%%.1.*} |"
}
export -f one who
docker ps -a --format '{{.Names}}' | grep -v '^service\.' | xargs -P 4 -I NAME bash -c 'one NAME >/root/seen.NAME || true'
docker ps --format '{{.Names}}' | grep -E '^(always|unless|project|service)' | xargs -P 4 -I NAME bash -c 'who NAME >>/root/seen.NAME'
cat /root/seen.*
rm /root/seen.*

# Everything in the tar of each image but the lists of it, which have no order.
rm -rf /root/saved
mkdir /root/saved
docker save $images | tar -x -C /root/saved
(cd /root/saved && find . -type f ! -name manifest.json ! -name repositories ! -name index.json -exec sha256sum {} + | awk '{print $1}' | sort -u | sed 's/^/save - /')
docker inspect $images | jq -r '.[].RootFS.Layers[]' | sort -u |
    sed 's/^sha256:/diffid - /'
rm -rf /root/saved
