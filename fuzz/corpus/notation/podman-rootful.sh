#!/bin/sh
# Starts the wiki.
exec podman run --detach --name wiki \
    --uidmap 0:500000:65536 \
    --gidmap 0:600000:65536 \
    --volume /srv/wiki:/data \
    docker.io/library/wiki:1
