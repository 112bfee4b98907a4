"""Keeps the embedded graph server no longer than the process that wants it. Run as a script.

Stands behind `embedded`, outside a statement's path: pagoda -> *keeper* -> graph server. `prctl(PR_SET_PDEATHSIG)` set
by pagoda itself would follow the thread that started the server, and pagoda has many; code between fork and exec is not
safe there either. This process has one thread and nothing to lose, so both are sound here. It ends the server when its
standard input closes (pagoda closed it, or is dead, by whatever signal) or when its parent is another than before (a
forked child of pagoda may hold the pipe open), and the kernel ends the server should the keeper be killed.

`python -I -S keeper.py LOCK_FD COMMAND...` prints the server's process id; its exit status is the server's.
Standard library only, and few modules of it: it starts in hundredths of a second.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.2
_GRACE_S = 8.0


def _die_with_the_keeper() -> None:
    """Between fork and exec: the kernel is to end the server if the keeper dies first. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_wanted(parent: int) -> bool:
    """Whether pagoda still holds its end of the pipe, looked at for a moment."""
    readable, _, _ = select.select([0], [], [], _POLL_S)
    return not (readable and os.read(0, 1) == b"") and os.getppid() == parent


def _end(server: "subprocess.Popen[bytes]") -> None:
    """A clean stop writes its pages out; a server that hangs is killed, which its journal survives."""
    server.terminate()
    try:
        server.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()


def main(lock_fd: int, command: list[str]) -> int:
    """Run the server until nobody wants it. The lock's descriptor passes on to it: the last one out unlocks."""
    parent = os.getppid()
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        pass_fds=[lock_fd],
        preexec_fn=_die_with_the_keeper,
        start_new_session=True,
    )
    print(server.pid, flush=True)
    while server.poll() is None:
        if not _is_wanted(parent):
            _end(server)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
