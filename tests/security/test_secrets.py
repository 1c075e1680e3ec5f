"""What a box must not learn: ATRA's environment, arguments and descriptors, the user's files, the `.git` folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CANARY = "canary-8c1f-never-inside"

SEARCH_PROC = """
import glob
found = b""
for path in glob.glob("/proc/[0-9]*/{name}") + glob.glob("/proc/[0-9]*/task/*/{name}"):
    try:
        found += open(path, "rb").read()
    except OSError:
        pass
print(found)
"""


@pytest.mark.parametrize("where", ["os.environ", "environ"])
def test_environment_of_atra_is_not_inside(inside, monkeypatch, where):
    """Neither the program's own environment nor any process's in /proc holds what ATRA's holds."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    code = "print(dict(os.environ))" if where == "os.environ" else SEARCH_PROC.format(name="environ")

    finished = inside.run(code)

    assert finished.exit_code == 0
    assert b"ATRA_RESULT_FD" in finished.output
    assert CANARY.encode() not in finished.output


def test_environment_of_atra_is_not_on_the_hosts_side_of_a_box(sandbox, inside, monkeypatch, processes_with):
    """bubblewrap itself, which is pid 1 inside, is started without ATRA's environment."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)

    box = sandbox.start(["sleep", "61.0071"], inside.policy)
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in processes_with("61.0071")]
    box.close()

    assert environments
    assert not any(CANARY.encode() in environment for environment in environments)


def test_arguments_of_host_processes_are_not_inside(inside):
    """A password in some other program's arguments stays unseen."""
    with subprocess.Popen([sys.executable, "-c", "input()", CANARY], stdin=subprocess.PIPE) as other:
        finished = inside.run(SEARCH_PROC.format(name="cmdline"))
        other.kill()

    assert b"import ctypes" in finished.output
    assert CANARY.encode() not in finished.output


def test_open_descriptors_of_atra_are_not_inside(inside, tmp_path):
    """A file that ATRA holds open, even inheritably, is not handed on; the result descriptor is."""
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    descriptor = os.open(secret, os.O_RDONLY)
    os.set_inheritable(descriptor, True)

    finished = inside.run("print(sorted(int(fd) for fd in os.listdir('/proc/self/fd')), os.environ['ATRA_RESULT_FD'])")
    os.close(descriptor)

    descriptors, result = finished.output.split(b"\n")[0].rsplit(b" ", 1)
    assert set(eval(descriptors)) - {0, 1, 2, int(result)} == {3} - {int(result)}  # 3: the listing itself
    assert inside.run("os.write(int(os.environ['ATRA_RESULT_FD']), b'twin')").result == b"twin"


def test_no_descriptor_leads_to_a_file_of_the_host(inside):
    """What the box inherits is /dev/null and pipes."""
    code = "print([os.readlink(f'/proc/{pid}/fd/{fd}') for pid in ('self',) for fd in (0, 1, 2)])"

    output = inside.run(code).output.decode()

    assert "'/dev/null', 'pipe:[" in output


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/etc/shadow", id="passwords"),
        pytest.param("/etc/sudoers", id="sudoers"),
        pytest.param("{home}/.ssh/id_ed25519", id="ssh-key"),
        pytest.param("{home}/.atra/settings", id="atra-home"),
        pytest.param("{beside}/secret", id="beside-the-tree"),
        pytest.param("../secret", id="dots"),
        pytest.param(".git/config", id="git-config"),
        pytest.param("{tree}/.git/config", id="git-config-on-the-host"),
        pytest.param("/proc/1/root{beside}/secret", id="root-of-pid-1"),
        pytest.param("/proc/self/cwd/../secret", id="dots-by-cwd"),
        pytest.param("/run/secrets/key", id="run"),
        pytest.param("/var/lib/secret", id="var"),
    ],
)
def test_files_of_the_host_cannot_be_read(inside, tree, path):
    """Files outside the tree are not there, whatever the way; the tree's own are."""
    (tree.parent / "secret").write_text(CANARY)
    host = {"path": path.format(home=Path.home(), beside=tree.parent, tree=tree)}

    outcome = inside.outcome("open(host['path']).read()", host=host)
    twin = inside.outcome("open('shop.py').read(), open('/etc/passwd').read()")

    assert outcome in ("ENOENT", "EACCES")
    assert twin == "done"


def test_a_link_in_the_tree_leads_nowhere(inside, tree):
    """A symbolic link is copied as such; inside, its target outside is missing."""
    (tree.parent / "secret").write_text(CANARY)
    (tree / "out").symlink_to(tree.parent / "secret")
    (tree / "in").symlink_to("shop.py")

    outcome = inside.outcome("open('out').read()")
    twin = inside.outcome("assert open('in').read() == 'PRICE = 1\\n'")

    assert (tree / "out").read_text() == CANARY
    assert outcome == "ENOENT"
    assert twin == "done"


def test_nothing_of_git_is_inside(inside, tree):
    """Neither the tree's `.git` nor one of a submodule is copied; a file that only sounds alike is."""
    (tree / "vendor" / ".git").mkdir(parents=True)
    (tree / ".gitignore").write_text("*.pyc\n")

    finished = inside.run("print([n for _, d, f in os.walk('.') for n in d + f if n.startswith('.git')])")

    assert finished.output.split(b"\n")[0] == b"['.gitignore']"


def test_another_box_cannot_be_seen(sandbox, inside, tree):
    """Two boxes at once share neither processes nor /tmp."""
    code = "open('/tmp/mine', 'w'); os.write(int(os.environ['ATRA_RESULT_FD']), b'ready'); __import__('time').sleep(60)"

    box = sandbox.start(inside.command(code), inside.policy)
    first = box.receive(10.0)
    finished = inside.run("print('mine' in os.listdir('/tmp'), len([p for p in os.listdir('/proc') if p.isdigit()]))")
    box.close()

    assert first == b"ready"
    assert finished.output.split(b"\n")[0] == b"False 2"
