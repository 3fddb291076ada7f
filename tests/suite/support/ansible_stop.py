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
import time

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from ansible_collections.idshift.idshift.plugins.module_utils.engine import Daemon, EngineError

containers, units, broken = {}, {}, set()
# Those that end at once: while Docker waits before it restarts them, or just then.
looping = {}
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
            query = self.path.split("?")[1:]
            shown = {name: runs for name, runs in containers.items() if runs or query == ["all=1"]}
            state = lambda name, runs: looping.get(name, "running") if runs else "exited"
            return self.say(200, [{"Names": ["/" + name], "State": state(name, runs)} for name, runs in shown.items()])
        if path == "/info":
            return self.say(200, {"LiveRestoreEnabled": live_restore, "SecurityOptions": []})
        if path.startswith("/containers/"):
            name = path.split("/")[2]
            state = {"Running": containers[name], "ExitCode": 1, "Restarting": looping.get(name) == "restarting"}
            state["StartedAt"] = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime())
            counts = {"RestartCount": 7 if name in looping else 0}
            return self.say(200, dict(counts, HostConfig={}, State=state, Mounts=[]))
        self.say(200, {"Volumes": []} if path == "/volumes" else [])

    def do_POST(self):
        _, _, name, what = self.path.split("/")
        if (name, what) in broken:
            return self.say(500, {"message": "cannot %s container: %s" % (what, name)})
        containers[name] = what == "start" and looping.get(name) != "running"
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
            if what == "stop" and unit == "docker.service" and not live_restore:
                # None has a restart policy.
                containers.update({name: False for name in containers})
        return (0, "", "")


def begun(ran, with_live_restore, *does_not):
    """A host with these containers, and what does not work on it."""
    global live_restore
    live_restore = with_live_restore
    containers.clear()
    containers.update(ran)
    units.update({"docker.socket": True, "docker.service": True, "containerd.service": True})
    broken.clear()
    broken.update(does_not)


def stopped(socket, ran, with_live_restore, *does_not):
    """What the task says, and what it knows not to run."""
    begun(ran, with_live_restore, *does_not)
    try:
        Daemon(Module(socket)).stop(True)
    except EngineError as error:
        assert all(units.values()), units
        return str(error), error.not_running
    raise AssertionError("it stops")


def stopped_twice(socket, ran):
    """With live-restore: to be migrated, and to be undone when its containers have been started again."""
    begun(ran, True)
    daemon = Daemon(Module(socket))
    for _ in range(2):
        daemon.stop()
        assert not any(containers.values()) and not units["docker.service"], (containers, units)
        assert daemon.start() == {} and containers == ran, containers
    daemon.stop()
    # Docker did not start: nothing asks its socket, which would start it.
    units["docker.socket"] = True
    containers["db"] = True
    daemon.stop()
    assert containers["db"] and not units["docker.socket"], (containers, units)


def looped(socket, ran, state):
    """A container that ends at once, before and after."""
    begun(ran, False)
    looping["loop"] = state
    daemon = Daemon(Module(socket))
    daemon.stop()
    troubles = daemon.start()
    looping.clear()
    return troubles


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
    stopped_twice(socket, ran)
    for state in ("restarting", "running"):
        assert looped(socket, dict(ran, loop=True), state) == {}, state
    # One that ran well before is judged.
    begun(ran, False, ("web", "start"))
    daemon = Daemon(Module(socket))
    daemon.stop()
    assert list(daemon.start()) == ["web"]
print("all is as it was")
