"""The filter of system calls inside a box, as the program the kernel runs; the door to libseccomp.

The namespaces and the empty capability set already forbid most of what is refused here. The filter keeps the box away
from the parts of the kernel where most holes have been found, and from ways round what the namespaces do: a new user
namespace gives capabilities back, io_uring makes calls that no filter sees, vsock and netlink reach past an empty
network namespace. All other calls are allowed: it is a list of what is refused, not of what is granted.
"""

import errno
import socket
import tempfile
from functools import cache

REFUSED = (
    # mounts and roots
    *("mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount"),
    *("fspick", "mount_setattr", "swapon", "swapoff", "quotactl"),
    # namespaces; creation by clone is refused by its flags below
    *("unshare", "setns"),
    # other processes' memory and descriptors
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise"),
    # large parts of the kernel with a history
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "userfaultfd"),
    *("keyctl", "add_key", "request_key"),
    # memory that belongs to no process and to no file system, so that no limit of a box sees it
    *("memfd_create", "memfd_secret", "msgget", "semget"),
    # files by handle, past every path
    *("open_by_handle_at", "name_to_handle_at"),
    # the machine itself
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "acct", "syslog"),
    *("iopl", "ioperm", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "lookup_dcookie", "vhangup"),
)
FAMILIES = frozenset({socket.AF_UNIX, socket.AF_INET, socket.AF_INET6})

# CLONE_NEWTIME is not among them: clone takes the signal to send at the end where that flag would stand.
NAMESPACE_FLAGS = (
    0x00020000,  # CLONE_NEWNS
    0x02000000,  # CLONE_NEWCGROUP
    0x04000000,  # CLONE_NEWUTS
    0x08000000,  # CLONE_NEWIPC
    0x10000000,  # CLONE_NEWUSER
    0x20000000,  # CLONE_NEWPID
    0x40000000,  # CLONE_NEWNET
)
SEGMENT_BYTES = 65536  # of System V shared memory; PostgreSQL needs a very small one
UNKNOWN = -1  # what libseccomp calls a system call that it does not know
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # put characters into the terminal's input, as if typed


@cache
def filter_program() -> bytes | None:
    """Return the filter in the form that `bwrap --seccomp` reads, or None where libseccomp is not installed."""
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError):  # RuntimeError: the wheel is here, the system's library is not
        return None
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refused, no_family = pyseccomp.ERRNO(errno.EPERM), pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    for name in REFUSED:
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) != UNKNOWN:
            rules.add_rule(refused, name)
    for flag in NAMESPACE_FLAGS:
        rules.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    # The flags of clone3 lie behind a pointer, where no filter looks; without it libc falls back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for call in ("socket", "socketpair"):
        for family in set(range(max(FAMILIES))) - FAMILIES:
            rules.add_rule(no_family, call, pyseccomp.Arg(0, pyseccomp.EQ, family))
        rules.add_rule(no_family, call, pyseccomp.Arg(0, pyseccomp.GT, max(FAMILIES)))
    rules.add_rule(refused, "shmget", pyseccomp.Arg(1, pyseccomp.GT, SEGMENT_BYTES))
    for request in (TIOCSTI, TIOCLINUX):
        rules.add_rule(refused, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
