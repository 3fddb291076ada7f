# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the module journal does: verify, finish or roll back one run."""
from __future__ import annotations

from ansible_collections.idshift.idshift.plugins.module_utils.command import Idshift, is_unfinished, options, path_text
from ansible_collections.idshift.idshift.plugins.module_utils.diff import diff_of
from ansible_collections.idshift.idshift.plugins.module_utils.engine import Daemon, EngineError


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
            wanted = self._latest()
        for one in journals:
            number = one["id"].split("-")[0]
            if wanted in (one["id"], one.get("path")) or wanted.isdigit() and int(wanted) == int(number):
                if "path" not in one:
                    self.module.fail_json(msg="Journal %s: %s" % (one["id"], one["error"]))
                return one
        return self.module.fail_json(msg="There is no journal %s on this host." % wanted)

    def _latest(self):
        """The id of the newest run's journal. One that is empty is of no run, and idshift passes over it."""
        latest = self.idshift.run("journal check", "latest", *self.idshift.journal_dir())
        if "id" not in latest.said:
            self.module.fail_json(msg=latest.message, rc=latest.code)
        return latest.said["id"]

    def _command(self, command, *more):
        line = [self.run_of_journal["id"]] + list(more) + self.idshift.journal_dir()
        return self.idshift.run(command, *line)

    def _verify(self):
        found = self._command("verify")
        count = lambda *names: sum(found.said.get(name) or 0 for name in names)
        # A daemon and its containers make files anew. All else is an inode that has another owner.
        replaced = count("gone", "replaced")
        left = count("conflicts", "failed", "unmapped") - (replaced if self.params["allow_replaced"] else 0)
        # The list ends at a thousand; the counts do not. What is gone or replaced comes last.
        found.said["problems"] = (found.said.get("problems") or [])[:left]
        self.result.update(found.summary())
        if found.code == 0 or found.code == 3 and not left:
            self._exit(False, replaced=replaced)
        message = found.said.get("error") or found.reasons(left) or found.message
        differences = found.said["problems"]
        self._fail("Not as the journal says. " + message, rc=found.code, differences=differences, replaced=replaced)

    def _finish(self):
        state = self.run_of_journal["state"]
        if state == "finished":
            self._exit(False)
        if state != "unfinished":
            self._fail("The state of this run is '%s': it cannot be finished. state=rolled_back undoes what is left of it." % state)
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
                if is_unfinished(self.run_of_journal):
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
