# Copyright (c) the idshift authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Docker daemon: stops and starts it with systemd, and asks it what it has."""
from __future__ import annotations

import calendar
import http.client
import json
import socket
import time
import urllib.parse


class EngineError(Exception):
    """The daemon does not do what it was asked for."""

    # Containers that ran before and do not run now, each with the reason.
    not_running = {}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Api:
    """The daemon's HTTP interface. The docker command is not needed."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, url, timeout=60):
        """The object that the daemon answers with."""
        connection = _UnixConnection(self.path, timeout)
        try:
            connection.request(method, url)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineError("%s: %s" % (self.path, error))
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineError("%s %s: %s" % (method, url, body.decode("utf-8", "replace").strip()))
        try:
            return json.loads(body) if body.strip() else None
        except ValueError:
            # `/_ping` says OK, which is not JSON.
            return None

    def is_remapped(self):
        """Whether containers run in a user namespace."""
        options = self.ask("GET", "/info").get("SecurityOptions") or []
        return any(option.startswith("name=userns") for option in options)

    def container(self, name):
        """All about one container."""
        return self.ask("GET", "/containers/%s/json" % urllib.parse.quote(name))


def _names(containers):
    return sorted(one["Names"][0].lstrip("/") for one in containers if one.get("Names"))


class Contents:
    """What a daemon shows: it has to be the same before and after."""

    def __init__(self, api):
        containers = api.ask("GET", "/containers/json?all=1")
        self.containers = set(_names(containers))
        up = _names(one for one in containers if one["State"] in ("running", "restarting", "paused"))
        known = {name: api.container(name) for name in up}
        # They are started again. Whether they run then says nothing.
        self.unstable = [name for name in up if _is_unstable(known[name])]
        self.running = [name for name in up if name not in self.unstable]
        # A container with --rm goes when the daemon stops.
        self.passing = {name for name in up if (known[name].get("HostConfig") or {}).get("AutoRemove")}
        volumes = api.ask("GET", "/volumes").get("Volumes") or []
        self.volumes = {volume["Name"] for volume in volumes}
        images = api.ask("GET", "/images/json") or []
        self.tags = {tag for image in images for tag in image.get("RepoTags") or [] if tag != "<none>:<none>"}
        self.anonymous = {mount for name in self.passing for mount in _volumes_of(known[name])}

    def lacks(self, before):
        """What was there before, and is not now."""
        lost = ["container " + name for name in before.containers - before.passing - self.containers]
        lost += ["volume " + name for name in before.volumes - before.anonymous - self.volumes]
        lost += ["image " + name for name in before.tags - self.tags]
        return sorted(lost)


# Docker takes a container that has run for so long for one that works, and restarts it at once the next time.
SECONDS_OF_ONE_THAT_WORKS = 10


def _is_unstable(container):
    """Whether it ends again and again, and its restart policy starts it each time."""
    state = container["State"]
    if state.get("Restarting"):
        return True
    if not container.get("RestartCount"):
        return False
    started = calendar.timegm(time.strptime(state["StartedAt"][:19], "%Y-%m-%dT%H:%M:%S"))
    return time.time() - started < SECONDS_OF_ONE_THAT_WORKS


def _volumes_of(container):
    return [mount["Name"] for mount in container.get("Mounts") or [] if mount.get("Name")]


class Daemon:
    """The daemon and its units."""

    # In the order in which they stop. The socket comes first: it would start the daemon again.
    UNITS = ("docker.socket", "docker.service")

    def __init__(self, module):
        self.module = module
        self.timeout = module.params["timeout"]
        self.api = Api(module.params["docker_socket"])
        self.managed = module.params["manage_daemon"] and bool(module.get_bin_path("systemctl"))
        self.stopped = []
        self.before = None

    def _systemctl(self, *args):
        return self.module.run_command(["systemctl"] + list(args))

    def is_active(self, unit):
        """Whether systemd has started a unit."""
        return self._systemctl("is-active", "--quiet", unit)[0] == 0

    def stop(self, with_containerd=False):
        """Notes what runs, and stops it. What did not run is not started later. If it cannot be stopped, all that ran is
        started again."""
        if not self.managed:
            return
        try:
            self._stop(with_containerd)
        except EngineError as error:
            raise self._started_again(str(error))

    def _stop(self, with_containerd):
        units = self.UNITS + (("containerd.service",) if with_containerd else ())
        # Docker that its socket would start on demand is started by this question; what it has is to be known.
        if self.before is None:
            if any(self.is_active(unit) for unit in self.UNITS):
                self.before = Contents(self.api)
                self._stop_what_outlives_it()
        # Later, one that has failed is not to be started by a question.
        elif self.is_active("docker.service") and self._answers():
            self._stop_what_outlives_it()
        active = [unit for unit in units if self.is_active(unit)]
        # Later stops find less active: what was there at first is started again.
        self.stopped = self.stopped or active
        if active:
            code, stdout, stderr = self._systemctl("stop", *active)
            if code != 0:
                raise EngineError("systemctl stop %s: %s" % (" ".join(active), stderr.strip()))

    def _started_again(self, why):
        """Starts what was stopped before something could not be. The error that says so."""
        try:
            self.start_units()
            troubles = self._start_containers() if self.before else {}
        except EngineError as error:
            return EngineError("%s. Not all that ran before could be started again: %s" % (why, error))
        if not troubles:
            return EngineError("%s. All that ran before runs" % why)
        lines = ["%s: %s" % one for one in sorted(troubles.items())]
        error = EngineError("%s. Of what ran before, these do not run now: %s" % (why, ", ".join(lines)))
        error.not_running = troubles
        return error

    def _stop_what_outlives_it(self):
        if self.api.ask("GET", "/info").get("LiveRestoreEnabled"):
            for name in _names(self.api.ask("GET", "/containers/json")):
                self.api.ask("POST", "/containers/%s/stop" % urllib.parse.quote(name), timeout=600)

    def start_also_enabled(self):
        """Units that a boot would have started, had there been no unfinished run, are started later, too."""
        if self.managed and not self.stopped:
            enabled = [unit for unit in self.UNITS if self._systemctl("is-enabled", "--quiet", unit)[0] == 0]
            self.stopped = enabled

    def start_units(self):
        """Starts what was stopped, in the opposite order, and waits for the daemon."""
        if not self.stopped:
            return
        units = list(reversed(self.stopped))
        self._systemctl("reset-failed", *units)
        code, stdout, stderr = self._systemctl("start", *units)
        if code != 0:
            raise EngineError("systemctl start %s: %s%s" % (" ".join(units), stderr.strip(), self._log()))
        if "docker.service" in units:
            self._wait(self._answers, "the daemon does not answer")

    def _answers(self):
        try:
            self.api.ask("GET", "/_ping", timeout=10)
            return True
        except EngineError:
            return False

    def _wait(self, what, message):
        end = time.monotonic() + self.timeout
        while not what():
            if time.monotonic() > end:
                raise EngineError("%s after %d s%s" % (message, self.timeout, self._log()))
            time.sleep(0.2)

    def _log(self):
        if not self.module.get_bin_path("journalctl"):
            return ""
        said = self.module.run_command(["journalctl", "-u", "docker.service", "-n", "5", "-o", "cat"])[1]
        return ". Docker said last:\n" + said.strip()

    def start(self, remapped=None):
        """Starts it with all that ran. Returns containers that do not run again, each with the reason."""
        self.start_units()
        if self.before is None:
            return {}
        if remapped is not None and self.api.is_remapped() != remapped:
            raise EngineError("the daemon started %s" % ("without userns-remap" if remapped else "with userns-remap"))
        lost = Contents(self.api).lacks(self.before)
        if lost:
            raise EngineError("the daemon does not show any more: " + ", ".join(lost))
        return self._start_containers() if self.module.params["start_containers"] else {}

    def _start_containers(self):
        troubles = {}
        wanted = [name for name in self.before.running if name not in self.before.passing]
        for name in wanted + self.before.unstable:
            try:
                if not self.api.container(name)["State"]["Running"]:
                    self.api.ask("POST", "/containers/%s/start" % urllib.parse.quote(name))
            except EngineError as error:
                troubles[name] = str(error)
        if wanted:
            # One that ends at once has ended by then.
            time.sleep(self.module.params["settle"])
        for name in self.before.unstable:
            troubles.pop(name, None)
        for name in wanted:
            state = self.api.container(name)["State"]
            if not state["Running"] or state.get("Restarting"):
                why = state.get("Error") or "it ended with code %s" % state.get("ExitCode")
                troubles.setdefault(name, why)
        return troubles
