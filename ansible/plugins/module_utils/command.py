# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs idshift, and reads the object that it prints."""
from __future__ import annotations

import json


class Result:
    """What a command of idshift said."""

    def __init__(self, args, code, said, stderr):
        self.args = args
        self.code = code
        self.said = said
        self.stderr = stderr

    @property
    def ending(self):
        """`done`, `refused` and so on; see docs/json.md of idshift."""
        return self.said.get("ending")

    @property
    def message(self):
        """Why it did not work."""
        return self.said.get("error") or self.reasons() or self.stderr.strip() or "no message"

    def reasons(self, total=0):
        """The inodes that it failed on or left, and why: the first ten. `total`: how many there are, where not all are listed."""
        left = (self.said.get("why") or []) + (self.said.get("problems") or [])
        lines = [": ".join([path_text(one["path"])] * ("path" in one) + [one["reason"]]) for one in left]
        total = max(total, len(lines))
        more = ["and %d more" % (total - 10)] if total > 10 else []
        return "\n".join(lines[:10] + more)

    def summary(self):
        """The members that a task returns."""
        names = ("ending", "journal", "journal_path", "changed", "already_shifted", "unmapped", "failed",
                 "conflicts", "steps", "owners", "problems", "created_since", "elapsed_s")
        counts = {"changed": "inodes_changed", "failed": "inodes_failed"}
        return {counts.get(name, name): self.said[name] for name in names if name in self.said}


def one_line(text):
    """Text of a host on one line: nothing in it steers the terminal of who reads it, or looks like a line of another host."""
    harmless = lambda letter: letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
    return "".join(harmless(letter) for letter in str(text))


def path_text(path):
    """A path of the JSON as text. What is not UTF-8 stays encoded."""
    return one_line(path if isinstance(path, str) else "base64:" + path["b64"])


def is_unfinished(journal):
    """Whether its run, or the rollback of its run, has begun and not ended."""
    return journal.get("state") in ("unfinished", "rollback unfinished")


class Idshift:
    """The program on this host."""

    def __init__(self, module):
        self.module = module
        given = module.params["executable"]
        self.program = given or module.get_bin_path("idshift", required=True)

    def run(self, command, *args):
        """Runs `idshift COMMAND ARGS --json`. It ends the task only when idshift prints no object."""
        line = [self.program] + command.split() + list(args) + ["--json"]
        code, stdout, stderr = self.module.run_command(line)
        try:
            said = json.loads(stdout)
        except ValueError:
            # Killed: it could say nothing.
            said = {"ending": "killed", "error": "%s ended with code %d: %s" % (" ".join(line), code, stderr.strip())}
        return Result(line, code, said, stderr)

    def journals(self):
        """All journals, oldest first. No journal directory, no journals."""
        return self.run("journal list", *self.journal_dir()).said.get("journals", [])

    def journal_dir(self):
        """The option that names the directory of the journals."""
        return options(self.module.params, ["journal_dir"])

    def page(self, source):
        """`idshift report` of a file or a journal, as HTML."""
        line = [self.program, "report", source, "--output", "-"] + self.journal_dir()
        code, stdout, stderr = self.module.run_command(line)
        if code != 0:
            self.module.fail_json(msg="idshift report failed: %s" % stderr.strip(), rc=code)
        return stdout


def options(params, names):
    """Parameters of a task as options of idshift, which have the same names."""
    line = []
    for name in names:
        value, option = params.get(name), "--" + name.replace("_", "-")
        if value is True:
            line.append(option)
        elif value not in (None, False):
            line += [option, str(value)]
    return line
