# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Options that several modules have."""
from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  executable:
    description: Path of the program idshift on the host. Without it, it is looked for in E(PATH).
    type: path
  journal_dir:
    description: Directory of the journals on the host, where it is not C(/var/lib/idshift).
    type: path
requirements:
  - idshift on the host
  - Python 3.9 or later on the host, without further packages
notes:
  - The user on the host has to be root, as by O(ansible.builtin.task#keyword:become).
"""

    DAEMON = r"""
options:
  manage_daemon:
    description:
      - Stop Docker for the run, and start it afterwards. What did not run before is not started.
      - The order is C(docker.socket), C(docker.service), C(containerd.service), and the opposite one to start.
      - Needs systemd. Without it, or when this is V(false), stop Docker before, and start it afterwards.
    type: bool
    default: true
  start_containers:
    description: Start the containers that ran before, also those without a restart policy.
    type: bool
    default: true
  require_running:
    description: When a container that ran before does not run afterwards, the run has failed, and is undone.
    type: bool
    default: true
  settle:
    description: Seconds that containers have, after they were started, before it is looked whether they run.
    type: int
    default: 3
  timeout:
    description: Seconds that Docker has to start and to answer.
    type: int
    default: 120
  docker_socket:
    description: Socket of the Docker daemon on the host.
    type: path
    default: /run/docker.sock
"""
