"""What a box must not change: anything but its own throw-away copy, which nobody sees after it."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("open(host['outside'] + '/planted', 'w')", id="beside-the-tree"),
        pytest.param("open('../planted', 'w')", id="dots"),
        pytest.param("os.symlink(host['outside'], 'way'); open('way/planted', 'w')", id="symlink-out"),
        pytest.param("os.link(sys.executable, 'hard'); open('hard', 'ab')", id="hardlink-to-a-program"),
        pytest.param("os.link('/etc/passwd', '/tmp/passwd'); open('/tmp/passwd', 'a')", id="hardlink-to-passwd"),
        pytest.param("open('/usr/lib/planted', 'w')", id="system"),
        pytest.param("open('/etc/ld.so.preload', 'w')", id="preload"),
        pytest.param("open('/etc/passwd', 'a')", id="passwd"),
        pytest.param("open('/planted', 'w')", id="root"),
        pytest.param("open('/dev/planted', 'w')", id="dev"),
        pytest.param("open('/proc/sys/kernel/core_pattern', 'w')", id="core-pattern"),
        pytest.param("open('/proc/sysrq-trigger', 'w')", id="sysrq"),
        pytest.param("open(sys.executable, 'ab')", id="interpreter"),
        pytest.param("open(os.path.dirname(os.__file__) + '/sitecustomize.py', 'w')", id="sitecustomize"),
        pytest.param("os.mknod('disk', 0o600 | 0o060000, os.makedev(8, 0))", id="device"),
        pytest.param("os.chown('shop.py', 0, 0)", id="chown-to-root"),
        pytest.param("os.chmod('/usr/bin/env', 0o777)", id="chmod-system"),
        pytest.param("os.rename(os.getcwd(), '/tmp/moved')", id="move-the-tree"),
        pytest.param("os.chroot('/tmp')", id="chroot"),
    ],
)
def test_writes_outside_the_copy_fail(inside, tree, code):
    """Each way out is refused, and the host finds nothing planted; the same acts inside the copy work."""
    before = sorted(path.name for path in tree.parent.iterdir())
    host = {"outside": str(tree.parent)}

    outcome = inside.outcome(code, host=host)
    twin = inside.outcome("open('new', 'w').close(); os.symlink('new', 'a'); os.link('new', 'b'); os.rename('b', 'c')")

    assert outcome in ("EROFS", "EACCES", "EPERM", "ENOENT", "EXDEV", "EBUSY", "EINVAL")
    assert sorted(path.name for path in tree.parent.iterdir()) == before
    assert twin == "done"


def test_changes_to_the_copy_stay_in_the_box(inside, tree):
    """Tests, hooks and configuration that code inside rewrites are as they were on the host and in the next box."""
    code = "\n".join(
        [
            "for name in ('shop.py', 'conftest.py', 'pytest.ini', 'sitecustomize.py', '.git'):",
            "    open(name, 'w').write('planted')",
            "assert open('shop.py').read() == 'planted'",
        ]
    )

    outcome = inside.outcome(code)
    after = inside.run("print(open('shop.py').read(), sorted(os.listdir('.')))")

    assert outcome == "done"
    assert (tree / "shop.py").read_text() == "PRICE = 1\n"
    assert sorted(path.name for path in tree.iterdir()) == [".git", "shop.py"]
    assert after.output.startswith(b"PRICE = 1\n ['shop.py']")


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_nothing_is_left_for_the_next_box(inside, folder):
    """A file in a shared folder is there for its own box and gone for the next and for the host."""
    name = f"{folder}/left-by-a-box"

    twin = inside.outcome(f"open('{name}', 'w').write('x'); assert open('{name}').read() == 'x'")
    outcome = inside.outcome(f"open('{name}')")

    assert twin == "done"
    assert outcome == "ENOENT"
    assert not os.path.exists(name)


def test_what_covers_the_copy_is_read_only(inside, tree):
    """A virtual environment in the tree is shown over the copy and cannot be changed from inside."""
    environment = tree / ".venv"
    environment.mkdir()
    (environment / "site.pth").write_text("real\n")
    policy = inside.policy
    inside.policy = replace(policy, at=str(tree), readable=(*policy.readable, str(environment)))

    outcome = inside.outcome("open('.venv/site.pth', 'w')")
    twin = inside.outcome("assert open('.venv/site.pth').read() == 'real\\n'")

    assert outcome == "EROFS"
    assert (environment / "site.pth").read_text() == "real\n"
    assert twin == "done"


@pytest.mark.parametrize("attempt", [["su", "-c", "id -u"], ["mount", "-t", "tmpfs", "x", "/tmp"], ["umount", "/tmp"]])
def test_setuid_programs_give_no_rights(inside, attempt):
    """A program that is setuid root on the host runs as the box's own user; one that needs no rights just runs."""
    assert Path("/usr/bin", attempt[0]).stat().st_mode & stat.S_ISUID
    code = "import subprocess; subprocess.run({}, capture_output=True).check_returncode()"

    outcome = inside.outcome(code.format(attempt))
    status = inside.run("os.system('grep NoNewPrivs /proc/self/status; id -u')").output.split()
    twin = inside.outcome(code.format(["env"]))

    assert outcome == "CalledProcessError"
    assert status[:3] == [b"NoNewPrivs:", b"1", b"1000"]
    assert twin == "done"


def test_a_setuid_file_made_inside_is_only_the_boxs_own(inside, tree):
    """A file with the setuid bit can be made in the copy, belongs to the box's user and never reaches the host."""
    outcome = inside.outcome("os.chmod('shop.py', 0o4755); assert os.stat('shop.py').st_uid == os.getuid() == 1000")

    assert outcome == "done"
    assert not (tree / "shop.py").stat().st_mode & stat.S_ISUID
