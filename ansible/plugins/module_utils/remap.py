# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the module docker_remap does: dry run, stop, migrate, start, and undo where that fails."""
from __future__ import annotations

import time

from ansible_collections.idshift.idshift.plugins.module_utils.command import Idshift, is_unfinished, one_line, options
from ansible_collections.idshift.idshift.plugins.module_utils.diff import diff_of, needs_work
from ansible_collections.idshift.idshift.plugins.module_utils.engine import Daemon, EngineError

WHERE = ["data_root", "userns_remap", "daemon_json", "journal_dir"]
HOW = ["write_daemon_json", "bind_mounts", "allow_outside_links", "immutable", "jobs", "rate", "nice"]
OPTIONS = {
    "docker migrate": ["create_user", "idmapped", "copy", "set_userns_host", "allow_home"],
    "docker revert": ["to_containerd", "undated"],
}

# Stopping Docker helps. Nothing else that stands in the way of a run is cured by this task.
CURED_BY_STOP = ("in-use", "use-unknown", "mounted")


class RemapTask:
    """One task of the module."""

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.idshift = Idshift(module)
        self.daemon = Daemon(module)
        self.is_remap = self.params["state"] == "remapped"
        self.command = "docker migrate" if self.is_remap else "docker revert"
        self.audit = {}
        self.result = {}
        self.with_containerd = False

    def run(self):
        """Ends the task."""
        self.audit = self._audit()
        self.result["state"] = self.audit["state"]
        if not self._is_to_do():
            self.module.exit_json(changed=False, **self.result)
        dry = self._dry_run()
        if self.is_remap:
            self.result["needs_work"] = needs_work(self.audit)
        self.result["diff"] = diff_of(self.command, dry.said, self.audit if self.is_remap else None)
        self.result.update(dry.summary())
        if self.module.check_mode:
            self.module.exit_json(changed=True, **self._manifest(), **self.result)
        self._migrate()

    def _fail(self, message, **more):
        self.module.fail_json(msg=message, **{**self.result, **more})

    def _audit(self):
        found = self.idshift.run("docker audit", "--quick", *options(self.params, WHERE))
        if "verdict" not in found.said:
            self._fail(found.message, rc=found.code)
        if "state" not in found.said:
            self._fail("%s is older than this collection: its audit has no state" % self.idshift.program)
        return found.said

    def _is_to_do(self):
        state = self.audit["state"]
        if state == "empty" and (self.params["allow_empty"] or not self.is_remap):
            if self.is_remap:
                self.module.warn("This Docker has no images, containers and volumes: nothing was changed.")
            return False
        if self.is_remap:
            return state != "remapped" and not (state == "idmapped" and self.params["idmapped"])
        return state != "plain"

    def _line(self, command=None, more=()):
        names = WHERE + HOW + OPTIONS[command or self.command] + list(more)
        return options(self.params, names)

    def _manifest(self):
        """The result that names the manifest, where one is written. What is copied or rolled back has none."""
        path, without = self.params["manifest"], "copy" if self.is_remap else "to_containerd"
        return {"manifest": path} if self.module.check_mode and path and not self.params[without] else {}

    def _dry_run(self):
        more = ["manifest"] if self._manifest() else []
        dry = self.idshift.run(self.command, "--dry-run", *self._line(more=more))
        if dry.code != 0:
            self._fail("Refused before anything was changed. " + dry.message, rc=dry.code, **dry.summary())
        lasting = [one["reason"] for one in dry.said.get("would_refuse") or [] if one["kind"] not in CURED_BY_STOP]
        if lasting:
            self._fail("Refused before anything was changed. " + "\n".join(lasting), rc=4)
        self._refuse_containers()
        self.with_containerd = bool(dry.said.get("containerd_store")) or self.params["to_containerd"]
        return dry

    def _refuse_containers(self):
        """Those that run and are known not to run afterwards. Docker was not stopped yet."""
        if not self.is_remap or self.params["set_userns_host"] or not self.params["require_running"]:
            return
        running = set(self.audit["running"])
        bad = [one for one in self.audit["containers"] if one["container"] in running]
        if bad:
            lines = [one_line("%s %s -> %s" % (one["container"], one["why"], one["remedy"])) for one in bad]
            self._fail("Refused before anything was changed. Containers that run now will not work:\n" + "\n".join(lines))

    def _migrate(self):
        start = time.monotonic()
        try:
            self.daemon.stop(self.with_containerd)
        except EngineError as error:
            self._fail("Docker could not be stopped, and nothing was changed. " + str(error), not_running=error.not_running)
        before = {one["id"] for one in self.idshift.journals()}
        done = self.idshift.run(self.command, "--yes", *self._line())
        self.result.update(done.summary())
        if done.code not in (0, 74):
            self._undo_failed_run(done, before)
        journal = done.said["journal"]
        try:
            if self.params["verify"]:
                self._verify(journal)
            troubles = self.daemon.start(self.is_remap)
            self.result["not_running"] = troubles
            if troubles and self.params["require_running"]:
                lines = ["%s: %s" % one for one in sorted(troubles.items())]
                raise EngineError("containers do not run any more: " + ", ".join(lines))
        except EngineError as error:
            self._undo(journal, str(error))
        if self.daemon.stopped:
            self.result["downtime_s"] = round(time.monotonic() - start, 2)
        self.module.exit_json(changed=True, **self.result)

    def _verify(self, journal):
        found = self.idshift.run("verify", journal, *self.idshift.journal_dir())
        if found.code != 0:
            raise EngineError("the disk is not as the journal says: " + found.message)

    def _undo_failed_run(self, done, before):
        """The run said that it failed. Mostly it has undone itself, and what it did not is in a journal."""
        undone, message = done.ending in ("refused", "rolled-back", "usage", "nothing"), done.message
        left = [one for one in self.idshift.journals() if one["id"] not in before and is_unfinished(one)]
        if not undone and done.ending != "rollback-incomplete":
            undone = True
            for journal in left:
                back = self.idshift.run("rollback", journal["id"], "--yes", *self.idshift.journal_dir())
                undone = undone and back.code == 0
                message += "" if back.code == 0 else ". Rollback: " + back.message
        self._end_undone(undone, "%s failed: %s" % (self.command, message), rc=done.code)

    def _undo(self, journal, why):
        """The run worked, and what came after it did not."""
        try:
            self.daemon.stop(self.with_containerd)
        except EngineError as error:
            more = {"undone": False, "changed": True, "not_running": error.not_running}
            self._fail("%s. It could not be undone: %s" % (why, error), **more)
        back = self.idshift.run("rollback", journal, "--yes", *self.idshift.journal_dir())
        undone_by = "rollback"
        if back.ending == "refused":
            undone_by, back = self._go_back()
        why = why if back.code == 0 else "%s. %s failed: %s" % (why, undone_by, back.message)
        self._end_undone(back.code == 0, why, undone_by=undone_by)

    def _go_back(self):
        """A daemon has run on it: what it made since is carried as well, to where all was before. The last command, and what it
        said."""
        by_mount = self.audit["state"] == "idmapped"
        if self.is_remap:
            back = self.idshift.run("docker revert", "--yes", *self._line_back("docker revert"))
            if back.code != 0 or not by_mount:
                return "docker revert", back
        line = self._line_back("docker migrate") + (["--idmapped"] if by_mount else [])
        return "docker migrate", self.idshift.run("docker migrate", "--yes", *line)

    def _line_back(self, command):
        """What the task says of its own way does not hold for the way back."""
        return [one for one in self._line(command) if one not in ("--idmapped", "--copy", "--to-containerd")]

    def _end_undone(self, undone, why, **more):
        """Docker starts on what there was before, or does not start on what is neither."""
        if not undone:
            self._fail(why + ". It could not be undone completely, and Docker was not started. "
                       "See `idshift journal list` on the host.", undone=False, changed=True, **more)
        try:
            troubles = self.daemon.start()
        except EngineError as error:
            self._fail("%s. It was undone, and then: %s" % (why, error), undone=True, **more)
        self._fail(why + ". It was undone.", undone=True, not_running=troubles, **more)
