# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a run changes, as `--diff` shows it."""
from __future__ import annotations

from ansible_collections.idshift.idshift.plugins.module_utils.command import one_line, path_text


def _pair(ids):
    return "%s:%s" % (ids["uid"], ids["gid"])


def _inodes(count):
    return "1 inode" if count == 1 else "%d inodes" % count


def owners(said):
    """Owners before and after, with the number of inodes of each pair."""
    pairs = sorted(said.get("owners") or [], key=lambda one: -one["count"])
    before = ["owner %-16s %s" % (_pair(one["before"]), _inodes(one["count"])) for one in pairs]
    after = ["owner %-16s %s, was %s" % (_pair(one["after"]), _inodes(one["count"]), _pair(one["before"])) for one in pairs]
    steps = said.get("steps") or 0
    if steps:
        after.append("%d renames and rewrites of files" % steps)
    return before, after


def needs_work(audit):
    """Containers and bind mounts that need work, one line each."""
    lines = []
    for one in audit.get("containers") or []:
        lines.append("container %s: %s -> %s" % (one["container"], one["why"], one["remedy"]))
    for one in audit.get("bind_mounts") or []:
        if one.get("advice"):
            # A named remedy, or why it stays.
            where = "%s on %s" % (path_text(one["source"]), path_text(one["destination"]))
            lines.append("bind mount of %s: %s, owner %s -> %s" % (one["container"], where, one["owner"], one["advice"]))
    lines += ["volume elsewhere: %s" % volume_text(one) for one in audit.get("volumes_elsewhere") or []]
    return [one_line(line) for line in lines]


def volume_text(volume):
    """A volume whose content is elsewhere; its members are strings or paths."""
    if not isinstance(volume, dict):
        return str(volume)
    is_text = lambda value: isinstance(value, str) or isinstance(value, dict) and "b64" in value
    return ", ".join("%s %s" % (name, path_text(volume[name])) for name in sorted(volume) if is_text(volume[name]))


def diff_of(title, said, audit=None):
    """The `diff` of a result."""
    before, after = owners(said)
    text = [{
        "before_header": "%s: owners now" % title,
        "after_header": "%s: owners then" % title,
        "before": "".join(one_line(line) + "\n" for line in before),
        "after": "".join(one_line(line) + "\n" for line in after),
    }]
    lines = needs_work(audit or {})
    if lines:
        text.append({"prepared": "needs work:\n" + "".join("  %s\n" % line for line in lines)})
    return text
