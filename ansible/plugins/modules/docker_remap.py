#!/usr/bin/python
# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""See DOCUMENTATION."""
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_remap
short_description: Migrate a Docker host to userns-remap, with all that it has, or back
version_added: "0.1.0"
description:
  - Runs C(idshift docker migrate) or C(idshift docker revert), and stops and starts Docker for it.
  - First a dry run, while Docker runs. What is refused there, or would fail, fails before Docker is stopped.
  - Then Docker is stopped, migrated and started. It has to show the same containers, volumes and images as before,
    and the containers that ran have to run again.
  - A host that fails undoes itself. A failed run of idshift is undone by idshift. When Docker does not start, the run is
    rolled back. When Docker has run on the result, the data-root is migrated the other way, with what Docker made since.
  - All of it is one task, so that a lost connection leaves no host half-way. Run it with C(async), as the role does.
options:
  state:
    description: V(remapped) migrates the host to C(userns-remap), V(plain) reverts it.
    type: str
    choices: [remapped, plain]
    default: remapped
  idmapped:
    description:
      - Remap by an idmapped mount. No owner of what containers own is changed, and it takes under a second.
      - Without it, a host that is remapped by a mount is made permanent, by changed owners.
    type: bool
    default: false
  copy:
    description: Keep the data-root, and migrate a copy of it.
    type: bool
    default: false
  create_user:
    description: With O(state=remapped), create the user C(dockremap) and its ranges where they are missing.
    type: bool
    default: true
  write_daemon_json:
    description: Set C(userns-remap) in C(daemon.json), or remove it.
    type: bool
    default: true
  set_userns_host:
    description: Set C(--userns=host) for containers that cannot run remapped.
    type: bool
    default: false
  bind_mounts:
    description: Also shift the host directories that containers bind, where the audit proposes it.
    type: bool
    default: false
  allow_home:
    description: With O(bind_mounts), also homes and files of login accounts.
    type: bool
    default: false
  to_containerd:
    description: With O(state=plain), go back to the containerd image store, as long as no daemon has run on the result.
    type: bool
    default: false
  undated:
    description:
      - With O(state=plain), for a host that is remapped by a mount. What becomes of files of which it is not known whether they had an id
        of the range before, as after a copy. V(keep) leaves their owners, V(give-back) makes them root's.
      - Without it, such a host is refused. It counts for the way back of a host that fails, too.
    type: str
    choices: [keep, give-back]
  allow_outside_links:
    description: Also change files that have a hard link outside of the data-root.
    type: bool
    default: false
  immutable:
    description: What becomes of files that are immutable or append-only.
    type: str
    choices: [refuse, clear]
  allow_empty:
    description: A host that has no images, containers and volumes does not fail. Nothing is changed on it.
    type: bool
    default: false
  verify:
    description: Compare the disk with the journal before Docker is started. Takes about as long again.
    type: bool
    default: false
  manifest:
    description:
      - In check mode, write each change to this file on the host. Compressed when its name ends in C(.zst).
      - With O(copy) or O(to_containerd) there is none.
    type: path
  data_root:
    description: Docker's data-root, where it is not the one of the C(dockerd) of the host.
    type: path
  userns_remap:
    description: Value of C(userns-remap), where it is not the one that C(dockerd) of the host has, or C(default).
    type: str
  daemon_json:
    description: Configuration file of the daemon, where it is not the one of the C(dockerd) of the host.
    type: path
  jobs:
    description: Number of threads.
    type: int
  rate:
    description: Limit to this many inodes per second.
    type: int
  nice:
    description: Run at the lowest CPU and I/O priority.
    type: bool
    default: false
extends_documentation_fragment:
  - idshift.idshift.common
  - idshift.idshift.common.daemon
attributes:
  check_mode:
    support: full
    description: Is the dry run. It writes O(manifest), and nothing else.
  diff_mode:
    support: full
    description: Shows owners before and after with the number of inodes, and containers and bind mounts that need work.
seealso:
  - module: idshift.idshift.docker_audit
  - module: idshift.idshift.journal
author:
  - idshift authors (@idshift)
"""

EXAMPLES = r"""
- name: Remap Docker
  idshift.idshift.docker_remap:
  async: 86400
  poll: 5

- name: Remap Docker by a mount, in under a second
  idshift.idshift.docker_remap:
    idmapped: true

- name: Go back
  idshift.idshift.docker_remap:
    state: plain
"""

RETURN = r"""
state:
  description: Whose images, containers and volumes there were before, as the module docker_audit returns it.
  returned: always
  type: str
journal:
  description: Id of the journal.
  returned: when something was changed
  type: str
journal_path:
  description: Path of the journal on the host.
  returned: when something was changed
  type: str
manifest:
  description: Path of the manifest on the host.
  returned: in check mode, with O(manifest), where one is written
  type: str
owners:
  description: Pairs of owners, each with RV(owners[].before), RV(owners[].after) and RV(owners[].count).
  returned: when there was something to do
  type: list
  elements: dict
needs_work:
  description: Containers, bind mounts and volumes that need work, one line each.
  returned: when there was something to do
  type: list
  elements: str
undone:
  description: Whether a host that failed is as it was before.
  returned: when Docker was stopped and the task failed
  type: bool
not_running:
  description: Containers that ran before and do not run now, each with the reason.
  returned: when something was changed
  type: dict
downtime_s:
  description: Seconds from the stop of Docker until its containers were started.
  returned: when Docker was stopped and started
  type: float
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.idshift.idshift.plugins.module_utils.arguments import common_arguments, daemon_arguments
from ansible_collections.idshift.idshift.plugins.module_utils.remap import RemapTask


def main():
    arguments = {
        "state": {"type": "str", "choices": ["remapped", "plain"], "default": "remapped"},
        "idmapped": {"type": "bool", "default": False},
        "copy": {"type": "bool", "default": False},
        "create_user": {"type": "bool", "default": True},
        "write_daemon_json": {"type": "bool", "default": True},
        "set_userns_host": {"type": "bool", "default": False},
        "bind_mounts": {"type": "bool", "default": False},
        "allow_home": {"type": "bool", "default": False},
        "to_containerd": {"type": "bool", "default": False},
        "undated": {"type": "str", "choices": ["keep", "give-back"]},
        "allow_outside_links": {"type": "bool", "default": False},
        "immutable": {"type": "str", "choices": ["refuse", "clear"]},
        "allow_empty": {"type": "bool", "default": False},
        "verify": {"type": "bool", "default": False},
        "manifest": {"type": "path"},
        "data_root": {"type": "path"},
        "userns_remap": {"type": "str"},
        "daemon_json": {"type": "path"},
        "jobs": {"type": "int"},
        "rate": {"type": "int"},
        "nice": {"type": "bool", "default": False},
    }
    arguments.update(common_arguments())
    arguments.update(daemon_arguments())
    RemapTask(AnsibleModule(argument_spec=arguments, supports_check_mode=True)).run()


if __name__ == "__main__":
    main()
