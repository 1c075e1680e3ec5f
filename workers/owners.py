"""Who holds a step: a process on a machine, so that a neighbour can tell whether it is dead.

A lease runs out by itself; where its owner is known to be dead nobody needs to wait for that.
"""

import hashlib
import os
import socket
from functools import cache


def this_process() -> str:
    """Return the owner that this process is: for people the host and the process, and by whom that can be judged."""
    return f"{socket.gethostname()}:{os.getpid()}@{_place()}"


def is_dead(owner: str) -> bool:
    """Say whether the owner was a process of this very machine and namespace that is no more.

    Of others nothing is known. Where its number belongs to another process by now, it counts as alive.
    """
    named, _, place = owner.rpartition("@")
    number = named.rpartition(":")[2]
    if not place or place != _place() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@cache
def _place() -> str:
    """Return a name for the numbers of processes that this process sees; empty where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return hashlib.sha256(f"{boot} {os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:12]
    except OSError:
        return ""
