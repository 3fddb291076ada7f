# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Audits of many hosts as one table."""
from __future__ import annotations

import math

from ansible_collections.idshift.idshift.plugins.module_utils.command import one_line

COLUMNS = ["host", "state", "verdict", "images", "containers", "volumes", "inodes", "stopped for", "by a mount",
           "need work"]


LEVELS = ["ok", "warning", "error"]


def _findings(audit):
    """Those that an operator has to read. That a remapped host cannot be migrated again is none of them."""
    is_remapped = audit.get("state") in ("remapped", "idmapped")
    found = audit.get("findings") or []
    return [one for one in found if not (is_remapped and one["what"] == "remapped root" and one["level"] == "error")]


def _verdict(audit):
    """The worst that is left."""
    levels = [LEVELS.index(one["level"]) for one in _findings(audit)]
    if len(levels) == len(audit["findings"]):
        return audit["verdict"]
    return LEVELS[max(levels, default=0)]


def _seconds(way):
    return "refused" if way["refused"] else "%d s" % max(1, math.ceil(way["seconds"]))


def fleet_row(host, found):
    """One host: the cells of its row, and what the audit found."""
    found = found or {}
    audit = found.get("audit") or {}
    if "verdict" not in audit:
        why = found.get("msg") or "no answer"
        return {"host": host, "cells": [host, "", "no audit"] + [""] * 7, "why": why, "audit": {}, "findings": [],
                "verdict": "no audit", "page": "", "needs_work": []}
    seconds = {way["command"]: _seconds(way) for way in audit["ways"]}
    work = audit.get("work") or {}
    cells = [host, audit.get("state", ""), _verdict(audit), audit["images"], audit["containers_total"], audit["volumes"],
             work.get("inodes", ""), seconds.get("docker migrate", ""), seconds.get("docker migrate --idmapped", ""),
             len(found["needs_work"])]
    return {"host": host, "cells": [str(cell) for cell in cells], "why": "", "audit": audit,
            "findings": _findings(audit), "verdict": _verdict(audit), "page": found.get("page", ""),
            "needs_work": found["needs_work"]}


def fleet(hosts, found_by_host):
    """The rows of all hosts. `found_by_host`: what docker_audit returned."""
    return [fleet_row(host, found_by_host.get(host)) for host in hosts]


def fleet_table(rows):
    """The rows as text, a list of lines, and below them what is in the way on which host."""
    cells = [COLUMNS] + [[one_line(cell) for cell in row["cells"]] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    for row in rows:
        notes = [row["why"]] if row["why"] else []
        notes += ["%s: %s" % (one["what"], one["found"]) for one in row["findings"] if one["level"] == "error"]
        lines += [one_line("%s: %s" % (row["host"], note)) for note in notes + row["needs_work"]]
    return lines


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """By their names."""
        return {"fleet": fleet, "fleet_table": fleet_table}
