"""Tasks of the Ansible collection, with an idshift that answers what it is told: which commands are run, and what the task
says. Each command line is one that the real program takes.

  ansible_tasks.py DIRECTORY PROGRAM      DIRECTORY has ansible_collections/idshift/idshift
"""

import json
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from ansible_collections.idshift.idshift.plugins.filter.fleet import fleet, fleet_table
from ansible_collections.idshift.idshift.plugins.module_utils.diff import diff_of
from ansible_collections.idshift.idshift.plugins.module_utils.journals import JournalTask
from ansible_collections.idshift.idshift.plugins.module_utils.remap import RemapTask

PROGRAM = sys.argv[2]
USAGE = 2
PLACE = tempfile.TemporaryDirectory()
NOWHERE = PLACE.name

REMAP = {
    "state": "remapped", "idmapped": False, "copy": False, "create_user": True, "write_daemon_json": True,
    "set_userns_host": False, "bind_mounts": False, "allow_home": False, "to_containerd": False,
    "allow_outside_links": False, "immutable": None, "allow_empty": False, "verify": False, "manifest": None,
    "data_root": NOWHERE + "/none", "userns_remap": None, "daemon_json": NOWHERE + "/none.json", "jobs": None, "rate": None,
    "nice": False, "undated": None,
}
JOURNAL = {"journal": "latest", "state": "verified", "force": False, "allow_replaced": True}
BOTH = {
    "executable": PROGRAM, "journal_dir": NOWHERE, "manage_daemon": False, "start_containers": True, "require_running": True,
    "settle": 0, "timeout": 5, "docker_socket": NOWHERE + "/none.sock",
}


class Ended(Exception):
    """A task has ended."""


class Module:
    """Of Ansible: what a task gets, and how it ends. `answers`: each command that is to come, and what idshift says."""

    def __init__(self, params, answers, check_mode=False):
        self.params = dict(BOTH, **params)
        self.answers = list(answers)
        self.check_mode = check_mode
        self.lines = []

    def get_bin_path(self, name, required=False):
        return None

    def run_command(self, line):
        assert line[0] == PROGRAM, line
        words = line[1:]
        command, code, said = self.answers.pop(0)
        assert words[: len(command.split())] == command.split(), (command, words)
        self.lines.append(words)
        # Nothing is there that it could change.
        dry = ["--dry-run"] * (words[:1] == ["docker"] and words[1] != "audit" and "--dry-run" not in words)
        real = subprocess.run(line + dry, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        assert real.returncode != USAGE, (line, real.stderr)
        return code, json.dumps(said), ""

    def end(self, failed, said):
        assert not self.answers, self.answers
        self.failed, self.said = failed, said
        raise Ended

    def exit_json(self, **said):
        self.end(False, said)

    def fail_json(self, **said):
        self.end(True, said)


def played(task, params, answers, check_mode=False):
    module = Module(params, answers, check_mode)
    try:
        task(module).run()
    except Ended:
        return module
    raise AssertionError("the task does not end")


def audit(state):
    said = {"verdict": "ok", "state": state, "running": [], "containers": [], "bind_mounts": [], "volumes_elsewhere": []}
    return ("docker audit", 0, said)


def remapped(state, params, answers, check_mode=False):
    """docker_remap on a host in this state."""
    return played(RemapTask, dict(REMAP, **params), [audit(state)] + answers, check_mode)


DONE = {"ending": "done", "journal": "0002-b"}
IS_WRONG = {"ending": "done", "problems": [{"path": "/f", "reason": "is 7:0", "kind": "conflict"}]}
IN_USE = {"ending": "refused", "error": "a daemon has run on it"}


def the_way_back_leads_to_where_the_host_was():
    # From a mount to changed owners, and a daemon has run on it.
    run = remapped("idmapped", {"verify": True}, [
        ("docker migrate --dry-run", 0, {"ending": "done"}),
        ("journal list", 0, {"journals": []}),
        ("docker migrate --yes", 0, DONE),
        ("verify 0002-b", 3, IS_WRONG),
        ("rollback 0002-b --yes", 4, IN_USE),
        ("docker revert --yes", 0, DONE),
        ("docker migrate --yes", 0, DONE),
    ])
    assert run.failed and run.said["undone"] and run.said["undone_by"] == "docker migrate", run.said
    assert "--idmapped" not in run.lines[-2] and "--idmapped" in run.lines[-1], run.lines
    # It stays down where the first half of the way fails.
    run = remapped("idmapped", {"verify": True}, [
        ("docker migrate --dry-run", 0, {"ending": "done"}),
        ("journal list", 0, {"journals": []}),
        ("docker migrate --yes", 0, DONE),
        ("verify 0002-b", 3, IS_WRONG),
        ("rollback 0002-b --yes", 4, IN_USE),
        ("docker revert --yes", 1, {"ending": "rolled-back", "why": [{"path": "/g", "reason": "cannot be read"}]}),
    ])
    assert run.failed and not run.said["undone"] and "/g: cannot be read" in run.said["msg"], run.said
    # From a plain root by a mount: back is no mount.
    run = remapped("plain", {"verify": True, "idmapped": True, "undated": "keep"}, [
        ("docker migrate --dry-run", 0, {"ending": "done"}),
        ("journal list", 0, {"journals": []}),
        ("docker migrate --yes", 0, DONE),
        ("verify 0002-b", 3, IS_WRONG),
        ("rollback 0002-b --yes", 4, IN_USE),
        ("docker revert --yes", 0, DONE),
    ])
    assert run.said["undone"] and "--idmapped" not in run.lines[-1], run.lines
    assert run.lines[-1][run.lines[-1].index("--undated") + 1] == "keep", run.lines
    # Back from a mount fails: there is the mount again.
    run = remapped("idmapped", {"verify": True, "state": "plain"}, [
        ("docker revert --dry-run", 0, {"ending": "done"}),
        ("journal list", 0, {"journals": []}),
        ("docker revert --yes", 0, DONE),
        ("verify 0002-b", 3, IS_WRONG),
        ("rollback 0002-b --yes", 4, IN_USE),
        ("docker migrate --yes", 0, DONE),
    ])
    assert run.said["undone"] and "--idmapped" in run.lines[-1] and "--create-user" in run.lines[-1], run.lines


def what_a_killed_rollback_left_is_rolled_back():
    killed = {"ending": "killed", "error": "ended with code -9"}
    left = {"journals": [{"id": "0001-a", "error": "is empty"}, {"id": "0002-b", "state": "rollback unfinished"}]}
    for code, undone in ((0, True), (5, False)):
        run = remapped("plain", {}, [
            ("docker migrate --dry-run", 0, {"ending": "done"}),
            ("journal list", 0, {"journals": left["journals"][:1]}),
            ("docker migrate --yes", -9, killed),
            ("journal list", 0, left),
            ("rollback 0002-b --yes", code, {"ending": "done" if undone else "rollback-incomplete"}),
        ])
        assert run.failed and run.said["undone"] == undone, run.said


def no_option_is_refused_for_what_is_there_by_default():
    run = remapped("remapped", {"state": "plain", "to_containerd": True, "manifest": "/p"}, [
        ("docker revert --dry-run", 0, {"ending": "done"}),
    ], check_mode=True)
    assert not run.failed and "manifest" not in run.said, run.said
    run = remapped("plain", {"copy": True, "manifest": "/p"}, [
        ("docker migrate --dry-run", 0, {"ending": "done"}),
    ], check_mode=True)
    assert not run.failed and "manifest" not in run.said, run.said
    run = remapped("idmapped", {"state": "plain", "undated": "give-back", "manifest": "/p"}, [
        ("docker revert --dry-run", 0, {"ending": "done"}),
    ], check_mode=True)
    assert "--undated" in run.lines[-1] and run.said["manifest"] == "/p", (run.lines, run.said)


def journal(number, state):
    return {"id": number, "path": "/j/%s" % number, "state": state, "command": "shift", "roots": []}


def journals_that_cannot_be_read_are_told():
    unusable = {"id": "0003-c", "error": "0003-c is empty"}
    listed = ("journal list", 3, {"journals": [journal("0002-b", "unfinished"), unusable]})
    rolled_back = {"state": "rolled_back"}
    run = played(JournalTask, dict(JOURNAL, **rolled_back), [
        listed, ("journal check latest", 0, {"id": "0002-b"}), ("rollback 0002-b --yes", 0, {"ending": "done"}),
    ])
    assert not run.failed and run.said["journal_path"] == "/j/0002-b", run.said
    run = played(JournalTask, dict(JOURNAL, journal="3"), [listed])
    assert run.failed and "0003-c is empty" in run.said["msg"], run.said
    run = played(JournalTask, JOURNAL, [listed, ("journal check latest", 3, {"path": "/j", "error": "is damaged"})])
    assert run.failed and run.said["msg"] == "is damaged", run.said


def only_a_finished_run_is_finished():
    for state, failed in (("finished", False), ("rolled back", True), ("rollback unfinished", True)):
        run = played(JournalTask, dict(JOURNAL, state="finished", journal="2"), [
            ("journal list", 0, {"journals": [journal("0002-b", state)]}),
        ])
        assert run.failed == failed and ("state=rolled_back" in run.said.get("msg", "")) == failed, run.said


def a_wrong_owner_is_found_among_thousands_that_are_gone():
    gone = {"path": "/gone", "kind": "conflict", "reason": "is gone, or was renamed"}
    wrong = {"path": "/wrong", "kind": "conflict", "reason": "is 7:0, and should be 0:0"}
    found = ("journal list", 0, {"journals": [journal("0002-b", "finished")]})

    def verified(said, **params):
        said = dict({"ending": "done", "failed": 0, "unmapped": 0}, **said)
        return played(JournalTask, dict(JOURNAL, journal="2", **params), [found, ("verify 0002-b", 3, said)])

    run = verified({"conflicts": 4000, "gone": 3900, "replaced": 100, "problems": [gone] * 1000})
    assert not run.failed and run.said["replaced"] == 4000, run.said
    said = {"conflicts": 4001, "gone": 3900, "replaced": 100, "problems": [wrong] + [gone] * 999}
    run = verified(said)
    assert run.failed and run.said["differences"] == [wrong] and "/wrong: is 7:0" in run.said["msg"], run.said
    assert "more" not in run.said["msg"], run.said["msg"]
    run = verified(said, allow_replaced=False)
    assert run.failed and len(run.said["differences"]) == 1000 and "and 3991 more" in run.said["msg"], run.said["msg"]


def text_of_a_host_stays_on_its_line():
    evil = "/home/u/x\nh2  plain  ok\x1b[2J\u202e\u00e4"
    bind = {"container": "web", "source": evil, "destination": "/d", "owner": "0:0", "advice": "x"}
    elsewhere = {"volume": "v", "dir": {"b64": "L3Nydi/k"}, "what": evil}
    said = {"verdict": evil, "state": evil, "findings": [{"level": "error", "what": evil, "found": evil}], "images": evil,
            "containers_total": 1, "volumes": 1, "ways": [], "bind_mounts": [bind], "volumes_elsewhere": [elsewhere]}
    diff = diff_of("docker migrate", {}, said)
    lines = diff[1]["prepared"].splitlines()
    assert len(lines) == 3 and "base64:L3Nydi/k" in lines[2], lines
    found = {"audit": said, "needs_work": [evil]}
    table = fleet_table(fleet(["h1", "h2"], {"h1": found, "h2": {"msg": evil}}))
    # The head, two hosts, what is found of the first and needs work, and why the second has no audit.
    assert len(table) == 6, table
    for line in lines + table:
        assert line.isprintable(), repr(line)
    # As idshift has it, and letters of all languages stay.
    assert r"x\nh2  plain  ok\x1b[2J\u202e" + "\u00e4" in table[3], table


the_way_back_leads_to_where_the_host_was()
what_a_killed_rollback_left_is_rolled_back()
no_option_is_refused_for_what_is_there_by_default()
journals_that_cannot_be_read_are_told()
only_a_finished_run_is_finished()
a_wrong_owner_is_found_among_thousands_that_are_gone()
text_of_a_host_stays_on_its_line()
print("all as it should be")
