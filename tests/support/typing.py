"""Runs a command on a terminal of its own, types what it is told to, and prints what the terminal got:
typing.py [AWAIT TYPE]... -- COMMAND...
What is to be typed at once awaits nothing."""
import os
import pty
import sys
import termios

split = sys.argv.index("--")
steps = [word.encode().decode("unicode_escape").encode("latin-1") for word in sys.argv[1:split]]
pid, terminal = pty.fork()
if pid == 0:
    attributes = termios.tcgetattr(0)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, attributes)
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
seen = b""
if steps and not steps[0]:
    os.write(terminal, steps[1])
    steps = steps[2:]
while True:
    try:
        some = os.read(terminal, 65536)
    except OSError:
        break
    if not some:
        break
    sys.stdout.buffer.write(some)
    sys.stdout.flush()
    seen += some
    while steps and steps[0] in seen:
        seen = seen.partition(steps[0])[2]
        os.write(terminal, steps[1])
        steps = steps[2:]
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
