#!/usr/bin/env python3
"""Reads a snapshot and prints what it must be after a shift; everything not named here must stay.

    expect.py [--reverse] MAP... < before > after        MAP is u|g|b:CONTAINER:HOST:SIZE
"""

import json
import struct
import sys

ACLS = ("system.posix_acl_access", "system.posix_acl_default")
ACL_USER, ACL_GROUP = 0x02, 0x08
CAPABILITY = "security.capability"
CAP_REVISION, CAP_V2, CAP_V3 = 0xFF000000, 0x02000000, 0x03000000


class Map:
    """One direction of one kind of id."""

    def __init__(self, specs, kind, reverse):
        self.ranges = []
        for spec in specs:
            which, container, host, size = spec.split(":")
            if which in (kind, "b"):
                sides = (int(container), int(host))
                come, go = reversed(sides) if reverse else sides
                self.ranges.append((come, go, int(size)))

    def __call__(self, number):
        for come, go, size in self.ranges:
            if come <= number < come + size:
                return go + number - come
        for _, go, size in self.ranges:
            if go <= number < go + size:
                return number
        sys.exit(f"expect.py: {number} is not in the map; give it another tree")


def acl(raw, uids, gids):
    version, entries = raw[:4], [struct.unpack_from("<HHI", raw, at) for at in range(4, len(raw), 8)]
    ids = {ACL_USER: uids, ACL_GROUP: gids}
    mapped = [(tag, ids[tag](who) if tag in ids else who, perm) for tag, perm, who in entries]
    mapped.sort()
    return version + b"".join(struct.pack("<HHI", tag, perm, who) for tag, who, perm in mapped)


def capability(raw, uids, reverse):
    (magic,) = struct.unpack_from("<I", raw)
    revision, flags, sets = magic & CAP_REVISION, magic & ~CAP_REVISION, raw[4:20]
    if revision == CAP_V3:
        root = uids(struct.unpack_from("<I", raw, 20)[0])
    elif revision == CAP_V2 and not reverse:
        root = uids(0)
    else:
        return raw
    if reverse and root == 0:
        return struct.pack("<I", CAP_V2 | flags) + sets
    return struct.pack("<I", CAP_V3 | flags) + sets + struct.pack("<I", root)


def shifted(line, uids, gids, reverse):
    xattrs = line["xattrs"]
    for key in ACLS:
        if key in xattrs:
            xattrs[key] = acl(bytes.fromhex(xattrs[key]), uids, gids).hex()
    if CAPABILITY in xattrs:
        xattrs[CAPABILITY] = capability(bytes.fromhex(xattrs[CAPABILITY]), uids, reverse).hex()
    line["uid"], line["gid"] = uids(line["uid"]), gids(line["gid"])
    return line


def main():
    args = sys.argv[1:]
    reverse = "--reverse" in args
    specs = [arg for arg in args if arg != "--reverse"]
    uids, gids = Map(specs, "u", reverse), Map(specs, "g", reverse)
    for line in sys.stdin:
        print(json.dumps(shifted(json.loads(line), uids, gids, reverse)))


main()
