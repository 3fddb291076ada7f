#!/bin/bash
# What a user sees of Podman, a line for each thing: `KIND NAME WHAT`.
#
#   see.sh        of whoever runs it; the graph root is written as R
set -euo pipefail
root=$(podman info --format '{{.Store.GraphRoot}}')

# Left out is what belongs to a start and to who starts it: run directories, processes, addresses; the default network and its
# name; where cgroups are; which capabilities and device rules root adds.
volatile='del(.State, .NetworkSettings, .ResolvConfPath, .HostnamePath, .HostsPath, .StaticDir, .OCIConfigPath, .ConmonPidFile,
    .PidFile, .ProcessLabel, .HostConfig.CgroupParent, .HostConfig.CgroupManager, .HostConfig.Cgroups, .HostConfig.NetworkMode,
    .HostConfig.OomScoreAdj, .HostConfig.Ulimits, .GraphDriver.Data.MergedDir, .lockNumber)'
containers=$(podman ps -aq --no-trunc)
podman inspect --type container $containers | jq -r ".[] | \"container \(.Name) \($volatile | tojson)\"" | sed "s|$root|R|g"
podman inspect --type image $(podman images -aq --no-trunc | sort -u) | jq -r '.[] | "image \(.Id) \(del(.GraphDriver) | tojson)"'
podman images --no-trunc --format 'tag {{.Repository}}:{{.Tag}} {{.ID}}' | sort
podman volume inspect $(podman volume ls -q) | jq -r '.[] | "volume \(.Name) \(del(.MountCount, .lockNumber) | tojson)"' | sed "s|$root|R|g"
podman network ls --format '{{.Name}}' | grep -vx podman | xargs podman network inspect | jq -r '.[] | "network \(.name) \(del(.containers) | tojson)"'
podman secret inspect $(podman secret ls -q) | jq -r '.[] | "secret \(.Spec.Name) \(tojson)"' | sed "s|$root|R|g"
podman pod ps --no-trunc --format 'pod {{.Name}} {{.ID}} {{.NumberOfContainers}} {{.InfraID}}'
for name in $(podman ps -a --format '{{.Names}}'); do
    podman diff "$name" | LC_ALL=C sort | sed "s|^|diff $name |"
done
podman logs logged | sed 's/^/log logged /'
# Device files are other in a rootless store: Podman itself leaves them out when it unpacks an image.
{ podman system check 2>&1 || true; } | grep '^\s*\*' | grep -vE ' [-+]?/dev/' | sort -u | sed 's/^/check damaged /' || true
