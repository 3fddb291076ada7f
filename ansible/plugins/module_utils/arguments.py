# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Options that several modules have; the doc fragment `common` describes them."""
from __future__ import annotations


def common_arguments():
    """Of all modules."""
    return {
        "executable": {"type": "path"},
        "journal_dir": {"type": "path"},
    }


def daemon_arguments():
    """Of those that stop and start Docker."""
    return {
        "manage_daemon": {"type": "bool", "default": True},
        "start_containers": {"type": "bool", "default": True},
        "require_running": {"type": "bool", "default": True},
        "settle": {"type": "int", "default": 3},
        "timeout": {"type": "int", "default": 120},
        "docker_socket": {"type": "path", "default": "/run/docker.sock"},
    }
