#!/usr/bin/env python3
"""Runs a command, for at most so many seconds, and writes what it took as JSON into a file.

    measure.py FILE SECONDS COMMAND...
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time

out, limit, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
start = time.monotonic()
child = subprocess.Popen(command)
try:
    code = child.wait(timeout=limit)
    hung = False
except subprocess.TimeoutExpired:
    hung = True
    with open(f"/proc/{child.pid}/stack", "rb") as stack:
        sys.stderr.write(f"hangs: {stack.read().decode()}\n")
    child.kill()
    code = child.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(out, "w") as file:
    facts = {"hung": hung, "kib": used.ru_maxrss, "seconds": time.monotonic() - start}
    json.dump(facts, file)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
