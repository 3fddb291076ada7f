#!/usr/bin/python
# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""See DOCUMENTATION."""
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_audit
short_description: Say whether a Docker host can be remapped, and what will be different
version_added: "0.1.0"
description:
  - Runs C(idshift docker audit). Changes nothing, and Docker can run meanwhile.
  - A host that is not ready does not fail; see RV(verdict).
options:
  data_root:
    description: Docker's data-root, where it is not the one of the C(dockerd) of the host.
    type: path
  userns_remap:
    description: Value of C(userns-remap), where it is not the one that C(dockerd) of the host has, or C(default).
    type: str
  daemon_json:
    description: Configuration file of the daemon, where it is not the one of the C(dockerd) of the host.
    type: path
  quick:
    description: Do not read the layers of the containerd image store.
    type: bool
    default: false
  page:
    description: Also return the HTML page that C(idshift report) makes.
    type: bool
    default: false
extends_documentation_fragment:
  - idshift.idshift.common
attributes:
  check_mode:
    support: full
    description: Does the same.
seealso:
  - module: idshift.idshift.docker_remap
author:
  - idshift authors (@idshift)
"""

EXAMPLES = r"""
- name: Audit Docker
  idshift.idshift.docker_audit:
  register: audit

- name: Say what is in the way
  ansible.builtin.debug:
    msg: "{{ audit.audit.findings | selectattr('level', 'equalto', 'error') }}"
"""

RETURN = r"""
verdict:
  description: V(ok), V(warning) or V(error), or V(refused) when the data-root could not be audited.
  returned: always
  type: str
state:
  description: Whose images, containers and volumes there are, as V(plain), V(remapped), V(idmapped), V(both) or V(empty).
  returned: when the data-root could be audited
  type: str
audit:
  description: The object that C(idshift docker audit --json) prints; see docs/json.md of idshift.
  returned: always
  type: dict
needs_work:
  description: Containers, bind mounts and volumes that need work, one line each.
  returned: always
  type: list
  elements: str
page:
  description: The HTML page.
  returned: when O(page) is V(true) and the data-root could be audited
  type: str
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.idshift.idshift.plugins.module_utils.arguments import common_arguments
from ansible_collections.idshift.idshift.plugins.module_utils.command import Idshift, options
from ansible_collections.idshift.idshift.plugins.module_utils.diff import needs_work

OPTIONS = ["data_root", "userns_remap", "daemon_json", "journal_dir", "quick"]


def page_of(module, idshift, audit):
    """The page, made from the audit and not by a second one."""
    path = os.path.join(module.tmpdir, "audit.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(audit, out)
    return idshift.page(path)


def main():
    arguments = {
        "data_root": {"type": "path"},
        "userns_remap": {"type": "str"},
        "daemon_json": {"type": "path"},
        "quick": {"type": "bool", "default": False},
        "page": {"type": "bool", "default": False},
    }
    arguments.update(common_arguments())
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    idshift = Idshift(module)
    found = idshift.run("docker audit", *options(module.params, OPTIONS))
    audit = found.said
    if "verdict" not in audit:
        if found.ending != "refused":
            module.fail_json(msg=found.message, rc=found.code, audit=audit)
        module.exit_json(changed=False, verdict="refused", msg=found.message, audit=audit, needs_work=[])
    result = {"verdict": audit["verdict"], "audit": audit, "needs_work": needs_work(audit)}
    if "state" in audit:
        result["state"] = audit["state"]
    if module.params["page"]:
        result["page"] = page_of(module, idshift, audit)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
