#!/usr/bin/python
# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""See DOCUMENTATION."""
from __future__ import annotations

DOCUMENTATION = r"""
module: journal
short_description: Verify, finish or roll back a run of idshift
version_added: "0.1.0"
description:
  - Runs C(idshift verify), C(idshift resume) or C(idshift rollback) for one journal of the host.
  - For a run of C(docker), Docker is stopped for a rollback or a resume, and started afterwards.
options:
  journal:
    description: Id, number or path of the journal, or V(latest).
    type: str
    default: latest
  state:
    description:
      - V(verified) compares the disk with the journal, and fails where they differ. Changes nothing.
      - V(finished) finishes a run that was killed. It fails when a rollback of the run was begun.
      - V(rolled_back) undoes the run.
    type: str
    choices: [verified, finished, rolled_back]
    default: verified
  force:
    description: With O(state=rolled_back), also restore the owner of inodes that were changed after the run.
    type: bool
    default: false
  allow_replaced:
    description:
      - With O(state=verified), do not fail on what was replaced or removed since. A daemon and its containers make files anew.
      - What is the same inode as before has to have the owner that the journal says, in any case.
    type: bool
    default: true
extends_documentation_fragment:
  - idshift.idshift.common
  - idshift.idshift.common.daemon
attributes:
  check_mode:
    support: full
    description: Of a rollback, the dry run.
  diff_mode:
    support: full
    description: Shows owners before and after, with the number of inodes.
seealso:
  - module: idshift.idshift.docker_remap
author:
  - idshift authors (@idshift)
"""

EXAMPLES = r"""
- name: Is all as the newest run left it?
  idshift.idshift.journal:
    state: verified

- name: Undo the newest run
  idshift.idshift.journal:
    state: rolled_back
"""

RETURN = r"""
run:
  description: The journal, as C(idshift journal list --json) has it.
  returned: always
  type: dict
journal_path:
  description: Path of the journal on the host.
  returned: always
  type: str
differences:
  description: Inodes that are not as they should be, or that were left, with O(journal).
  returned: when there are some
  type: list
  elements: dict
replaced:
  description: How many inodes were replaced or removed since.
  returned: with O(state=verified)
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.idshift.idshift.plugins.module_utils.arguments import common_arguments, daemon_arguments
from ansible_collections.idshift.idshift.plugins.module_utils.journals import JournalTask


def main():
    arguments = {
        "journal": {"type": "str", "default": "latest"},
        "state": {"type": "str", "choices": ["verified", "finished", "rolled_back"], "default": "verified"},
        "force": {"type": "bool", "default": False},
        "allow_replaced": {"type": "bool", "default": True},
    }
    arguments.update(common_arguments())
    arguments.update(daemon_arguments())
    JournalTask(AnsibleModule(argument_spec=arguments, supports_check_mode=True)).run()


if __name__ == "__main__":
    main()
