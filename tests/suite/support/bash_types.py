"""Types a word and a tab at a real Bash, and prints the words that the line has then, one a line.

  bash_types.py PROGRAM DIRECTORY WORD...     in DIRECTORY; the tab is behind the last word
"""

import os
import pty
import sys
import tempfile

PROMPT = b"type-here> "


def read_until(terminal, wanted):
    seen = b""
    while wanted not in seen:
        seen += os.read(terminal, 65536)


def main():
    program, directory, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    out = tempfile.NamedTemporaryFile()
    os.environ.update(PS1="", TERM="dumb", INPUTRC="/dev/null", PATH=os.path.dirname(program) + ":" + os.environ["PATH"])
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    # In two parts, so that the echo of the line is not taken for the prompt.
    os.write(terminal, b"source <(idshift completions bash); PS1='type-''here> '\n")
    read_until(terminal, PROMPT)
    # Then to the beginning of the line, and to its end.
    line = b" ".join(word.encode() for word in words) + b"\t\x01printf '%s\\n' \x05 > " + out.name.encode()
    os.write(terminal, line + b"\nexit\n")
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
    os.waitpid(pid, 0)
    print(open(out.name, encoding="utf-8").read(), end="")


main()
