#!/usr/bin/env python3
"""Runs a command on a terminal of its own, and gives what it drew there.

    on_terminal.py COLUMNS ANSWER COMMAND...

ANSWER is typed when the command asks "[y/N]"; an empty one is not typed. What the terminal got goes to stdout as it
is; the exit code is the command's. That of a command which a signal ended is no exit code of idshift's: 254 is SIGINT.
"""

import fcntl
import os
import pty
import struct
import sys
import termios


def main():
    columns, answer, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    pid, terminal = pty.fork()
    if pid == 0:
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(1, termios.TIOCSWINSZ, size)
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    drawn = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        drawn += more
        if answer and b"[y/N] " in drawn:
            os.write(terminal, answer.encode())
            answer = ""
    _, status = os.waitpid(pid, 0)
    sys.stdout.buffer.write(drawn)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
