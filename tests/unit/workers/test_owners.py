"""Whether the owner of a step is dead: known of this machine's processes only."""

import os
import subprocess
import sys

import pytest

from workers.owners import is_dead, this_process


def test_who_lives_is_not_dead():
    assert not is_dead(this_process())


def test_a_process_that_ended_is_dead():
    """As soon as it has been waited for."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = this_process().replace(f":{os.getpid()}@", f":{child.pid}@")
    before = is_dead(owner)
    child.communicate(b"\n")

    assert (before, is_dead(owner)) == (False, True)


@pytest.mark.parametrize("owner", ["", "host:99999999", "host:99999999@elsewhere", "host:x@", "@", "host:1@"])
def test_of_others_nothing_is_known(owner: str):
    """Of another machine, another namespace, or a name of another form."""
    assert not is_dead(owner)
