"""System calls that change something others can see, and a seccomp filter that stops a traced process at them alone.

All other calls run at full speed: that is what lets a tracer written in Python follow a whole process tree.
"""

import ctypes
import os
import platform
import struct
from typing import NamedTuple

X86_64, AARCH64 = "x86_64", "aarch64"
MACHINE = platform.machine()


class Call(NamedTuple):
    """Numbers per machine (0: not there), what the filter asks of an argument, and where paths and lengths are."""

    x86_64: int
    aarch64: int
    ask: str = ""  # "fd": argument 0 is above stderr; "flags1", "flags2": that argument opens for writing
    paths: tuple[int, ...] = ()
    fd: int | None = None
    length: int | None = None
    makes: bool = False  # takes room on the disk: a full one refuses it


CALLS = {
    "write": Call(1, 64, "fd", fd=0, length=2, makes=True), "pwrite64": Call(18, 68, "fd", fd=0, length=2, makes=True),
    "writev": Call(20, 66, "fd", fd=0, makes=True), "pwritev": Call(296, 70, "fd", fd=0, makes=True),
    "sendfile": Call(40, 71, "fd", fd=0, makes=True), "copy_file_range": Call(326, 285, fd=2, makes=True),
    "open": Call(2, 0, "flags1", paths=(0,), makes=True), "openat": Call(257, 56, "flags2", paths=(1,), makes=True),
    "creat": Call(85, 0, paths=(0,), makes=True), "truncate": Call(76, 45, paths=(0,)),
    "ftruncate": Call(77, 46, fd=0), "fallocate": Call(285, 47, fd=0, makes=True),
    "fsync": Call(74, 82, fd=0, makes=True), "fdatasync": Call(75, 83, fd=0, makes=True),
    "rename": Call(82, 0, paths=(0, 1)), "renameat": Call(264, 38, paths=(1, 3)),
    "renameat2": Call(316, 276, paths=(1, 3)), "link": Call(86, 0, paths=(0, 1), makes=True),
    "linkat": Call(265, 37, paths=(1, 3), makes=True), "symlink": Call(88, 0, paths=(0, 1), makes=True),
    "symlinkat": Call(266, 36, paths=(0, 2), makes=True), "unlink": Call(87, 0, paths=(0,)),
    "unlinkat": Call(263, 35, paths=(1,)), "mkdir": Call(83, 0, paths=(0,), makes=True),
    "mkdirat": Call(258, 34, paths=(1,), makes=True), "rmdir": Call(84, 0, paths=(0,)),
    "chmod": Call(90, 0, paths=(0,)), "fchmod": Call(91, 52, fd=0), "fchmodat": Call(268, 53, paths=(1,)),
    "connect": Call(42, 203, fd=0), "sendto": Call(44, 206, fd=0, length=2), "sendmsg": Call(46, 211, fd=0),
    "sendmmsg": Call(307, 269, fd=0),
}  # fmt: skip
NUMBERS = {getattr(call, MACHINE): name for name, call in CALLS.items() if getattr(call, MACHINE, 0)}

AUDIT_ARCH = {X86_64: 0xC000003E, AARCH64: 0xC00000B7}
LOAD, EQUAL, ABOVE, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
TRACE, ALLOW = 0x7FF00000, 0x7FFF0000
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def install_filter() -> None:
    """Let every mutating call of this process, and of all that it starts, stop for the tracer."""
    program = _program()
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, *arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described)):
        if libc.prctl(option, *arguments, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def _program() -> bytes:
    """Linear: for each call, compare its number, then perhaps an argument, and trace or allow."""
    lines = [_line(LOAD, 4), _line(EQUAL, AUDIT_ARCH[MACHINE], 1, 0), _line(RETURN, ALLOW), _line(LOAD, 0)]
    for number, name in NUMBERS.items():
        asked = _asked(CALLS[name].ask)
        lines += [_line(EQUAL, number, 0, len(asked) + 1), *asked, _line(RETURN, TRACE)]
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _asked(ask: str) -> list[bytes]:
    if not ask:
        return []
    argument, test, value = (0, ABOVE, 2) if ask == "fd" else (int(ask[-1]), ANY_BIT, WRITING)
    return [_line(LOAD, 16 + 8 * argument), _line(test, value, 1, 0), _line(RETURN, ALLOW)]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
