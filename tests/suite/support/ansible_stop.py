"""Stops a daemon of which something does not stop, by the module of the Ansible collection: all that ran must run again,
and the message must say what does not. A Docker API and a systemctl that are made up here.

  ansible_stop.py DIRECTORY      DIRECTORY has ansible_collections/idshift/idshift
"""

import http.server
import json
import os
import socketserver
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from ansible_collections.idshift.idshift.plugins.module_utils.engine import Daemon, EngineError

containers, units, broken = {}, {}, set()
live_restore = False


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def address_string(self):
        return ""

    def say(self, code, what):
        body = json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/containers/json":
            state = lambda runs: "running" if runs else "exited"
            return self.say(200, [{"Names": ["/" + name], "State": state(runs)} for name, runs in containers.items()])
        if path == "/info":
            return self.say(200, {"LiveRestoreEnabled": live_restore, "SecurityOptions": []})
        if path.startswith("/containers/"):
            running = containers[path.split("/")[2]]
            return self.say(200, {"HostConfig": {}, "State": {"Running": running, "ExitCode": 1}, "Mounts": []})
        self.say(200, {"Volumes": []} if path == "/volumes" else [])

    def do_POST(self):
        _, _, name, what = self.path.split("/")
        if (name, what) in broken:
            return self.say(500, {"message": "cannot %s container: %s" % (what, name)})
        containers[name] = what == "start"
        self.say(200, {})


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Module:
    def __init__(self, socket):
        self.params = {"timeout": 5, "docker_socket": socket, "manage_daemon": True, "start_containers": True, "settle": 0}

    def get_bin_path(self, name):
        return None if name == "journalctl" else name

    def run_command(self, line):
        what, names = line[1], line[2:]
        if what == "is-active":
            return (0 if units[names[-1]] else 3, "", "")
        for unit in names if what in ("stop", "start") else ():
            if what == "stop" and unit == "containerd.service":
                return (1, "", "Job for containerd.service failed: timeout")
            units[unit] = what == "start"
            if what == "stop" and unit == "docker.service":
                # None has a restart policy.
                containers.update({name: False for name in containers})
        return (0, "", "")


def stopped(socket, ran, with_live_restore, *does_not):
    """What the task says, and what it knows not to run."""
    global live_restore
    live_restore = with_live_restore
    containers.clear()
    containers.update(ran)
    units.update({"docker.socket": True, "docker.service": True, "containerd.service": True})
    broken.clear()
    broken.update(does_not)
    try:
        Daemon(Module(socket)).stop(True)
    except EngineError as error:
        assert all(units.values()), units
        return str(error), error.not_running
    raise AssertionError("it stops")


with tempfile.TemporaryDirectory() as place:
    socket = os.path.join(place, "docker.sock")
    threading.Thread(target=Server(socket, Handler).serve_forever, daemon=True).start()
    ran = {"cache": True, "db": True, "old": False, "web": True}
    said, down = stopped(socket, ran, True, ("db", "stop"))
    assert "cannot stop container: db" in said and "All that ran before runs" in said and not down, said
    assert containers == ran, containers
    said, down = stopped(socket, ran, False)
    assert "containerd.service failed" in said and "All that ran before runs" in said and not down, said
    assert containers == ran, containers
    said, down = stopped(socket, ran, False, ("web", "start"))
    assert "these do not run now: web: " in said and list(down) == ["web"], (said, down)
    assert containers == dict(ran, web=False), containers
print("all is as it was")
