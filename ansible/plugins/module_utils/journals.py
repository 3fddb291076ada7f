# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the module journal does: verify, finish or roll back one run."""
from __future__ import annotations

from ansible_collections.idshift.idshift.plugins.module_utils.command import Idshift, options, path_text
from ansible_collections.idshift.idshift.plugins.module_utils.diff import diff_of
from ansible_collections.idshift.idshift.plugins.module_utils.engine import Daemon, EngineError

# A daemon and its containers make files anew. These say so, and all else says that an inode has another owner.
REPLACED = ("another inode has its name now", "is gone, or was renamed")


class JournalTask:
    """One task of the module."""

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.idshift = Idshift(module)
        self.run_of_journal = self._find()
        self.result = {"run": self.run_of_journal, "journal_path": self.run_of_journal["path"]}

    def run(self):
        """Ends the task."""
        {"verified": self._verify, "finished": self._finish, "rolled_back": self._roll_back}[self.params["state"]]()

    def _fail(self, message, **more):
        self.module.fail_json(msg=message, **{**self.result, **more})

    def _exit(self, changed, **more):
        self.module.exit_json(changed=changed, **{**self.result, **more})

    def _find(self):
        """The journal that is meant, as `journal list` has it."""
        wanted, journals = self.params["journal"], self.idshift.journals()
        if not journals:
            self.module.fail_json(msg="There are no journals on this host.")
        if wanted == "latest":
            return journals[-1]
        for one in journals:
            number = one["id"].split("-")[0]
            if wanted in (one["id"], one.get("path")) or wanted.isdigit() and int(wanted) == int(number):
                return one
        return self.module.fail_json(msg="There is no journal %s on this host." % wanted)

    def _command(self, command, *more):
        line = [self.run_of_journal["id"]] + list(more) + self.idshift.journal_dir()
        return self.idshift.run(command, *line)

    def _verify(self):
        found = self._command("verify")
        problems = found.said.get("problems") or []
        total = sum(found.said.get(name) or 0 for name in ("conflicts", "failed", "unmapped"))
        replaced = [one for one in problems if self.params["allow_replaced"] and one["reason"] in REPLACED]
        left = [one for one in problems if one not in replaced]
        found.said["problems"] = left
        self.result.update(found.summary())
        # The list of problems ends at a thousand; the counts do not.
        if found.code == 0 or found.code == 3 and not left and total == len(replaced):
            self._exit(False, replaced=len(replaced))
        more = total - len(problems)
        message = found.message + ("\nand %d more" % more if more else "")
        self._fail("Not as the journal says. " + message, rc=found.code, differences=left, replaced=len(replaced))

    def _finish(self):
        if self.run_of_journal.get("state") != "unfinished":
            self._exit(False)
        if self.module.check_mode:
            self._exit(True)
        self._with_daemon_stopped("resume")

    def _roll_back(self):
        if self.run_of_journal.get("state") == "rolled back":
            self._exit(False)
        if self.module.check_mode:
            dry = self._command("rollback", "--dry-run", *options(self.params, ["force"]))
            self.result.update(dry.summary())
            if dry.code not in (0, 3):
                self._fail(dry.message, rc=dry.code)
            self._exit(True, diff=diff_of("rollback", dry.said), differences=dry.said.get("problems"))
        self._with_daemon_stopped("rollback", "--yes", *options(self.params, ["force"]))

    def _with_daemon_stopped(self, command, *more):
        is_docker = (self.run_of_journal.get("command") or "").startswith("docker ")
        daemon = Daemon(self.module) if is_docker else None
        roots = [path_text(root["path"]) for root in self.run_of_journal.get("roots") or []]
        try:
            if daemon:
                daemon.stop(with_containerd=any("containerd" in root for root in roots))
                if self.run_of_journal.get("state") in ("unfinished", "rollback unfinished"):
                    daemon.start_also_enabled()
        except EngineError as error:
            self._fail(str(error), not_running=error.not_running)
        done = self._command(command, *more)
        self.result.update(done.summary())
        if done.code in (0, 3, 4, 74):
            self._start(daemon, done)
        if done.code in (0, 74):
            self._exit(True, diff=diff_of(command, done.said))
        left = done.said.get("problems")
        self._fail("%s: %s" % (command, done.message), rc=done.code, changed=done.code != 4, differences=left)

    def _start(self, daemon, done):
        """Docker starts on what is whole: also on what was refused, as nothing of it was changed."""
        if not daemon:
            return
        try:
            troubles = daemon.start()
        except EngineError as error:
            self._fail("%s: %s" % (error, done.message) if done.code else str(error), changed=done.code != 4)
        if troubles and self.params["require_running"]:
            lines = ["%s: %s" % one for one in sorted(troubles.items())]
            self._fail("Containers do not run any more: " + ", ".join(lines), changed=done.code != 4)
