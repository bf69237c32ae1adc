"""The few requests of ptrace(2) that the tracer makes, by ctypes; x86-64 and aarch64."""

import ctypes
import functools
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from common.paths import ROOT
from tests.kill.syscalls import AARCH64, MACHINE, X86_64

CONT, SYSCALL, SEIZE, LISTEN = 7, 24, 0x4206, 0x4208
GET_REGISTERS, SET_REGISTERS, GET_SYSCALL_INFO = 0x4204, 0x4205, 0x420E
GENERAL, ARM_SYSTEM_CALL = 1, 0x404  # NT_PRSTATUS, NT_ARM_SYSTEM_CALL
FOLLOW = 0x100000 | 0x80 | 0x10 | 0x8 | 0x4 | 0x2 | 0x1  # EXITKILL, SECCOMP, EXEC, CLONE, VFORK, FORK, SYSGOOD
EVENT_SECCOMP, EVENT_STOP = 7, 128
AT_EXIT = 2
# Where in the general registers: the call's number, its result, its arguments.
PLACES = {X86_64: (15, 10, (14, 13, 12, 7, 9, 8)), AARCH64: (8, 0, (0, 1, 2, 3, 4, 5))}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long
_info = ctypes.create_string_buffer(96)


class Info(NamedTuple):
    """What a stopped task is about to do, or what came of it."""

    number: int
    arguments: tuple[int, ...]
    result: int


def request(what: int, task: int, address: int = 0, data: int = 0) -> int:
    """One request. Raises ProcessLookupError for a task that is gone, which may happen at any time."""
    ctypes.set_errno(0)
    done: int = _libc.ptrace(what, task, address, data)
    if done < 0 and (error := ctypes.get_errno()):
        raise OSError(error, f"ptrace {what}: {os.strerror(error)}")
    return done


def call_of(task: int) -> Info:
    """The call at which a task has stopped: number and arguments before it, the result after it."""
    request(GET_SYSCALL_INFO, task, len(_info), ctypes.addressof(_info))
    if _info.raw[0] == AT_EXIT:
        return Info(-1, (), struct.unpack_from("q", _info.raw, 24)[0])
    number, *arguments = struct.unpack_from("7Q", _info.raw, 24)
    return Info(number, tuple(arguments), 0)


def set_argument(task: int, index: int, value: int) -> None:
    """Change an argument of the call that the task is about to make."""
    registers = _registers(task)
    registers[PLACES[MACHINE][2][index]] = value
    _set_registers(task, registers)


def refuse(task: int, errno: int) -> None:
    """Let the call not happen, and fail with `errno`."""
    number, result, _ = PLACES[MACHINE]
    registers = _registers(task)
    registers[result] = 2**64 - errno
    if MACHINE == X86_64:
        registers[number] = 2**64 - 1
    else:
        _regset(SET_REGISTERS, task, ARM_SYSTEM_CALL, ctypes.create_string_buffer(struct.pack("i", -1), 4))
    _set_registers(task, registers)


def _registers(task: int) -> list[int]:
    buffer = ctypes.create_string_buffer(8 * 34)
    size = _regset(GET_REGISTERS, task, GENERAL, buffer)
    return list(struct.unpack(f"{size // 8}Q", buffer.raw[:size]))


def _set_registers(task: int, registers: list[int]) -> None:
    raw = struct.pack(f"{len(registers)}Q", *registers)
    _regset(SET_REGISTERS, task, GENERAL, ctypes.create_string_buffer(raw, len(raw)))


def _regset(what: int, task: int, kind: int, buffer: "ctypes.Array[ctypes.c_char]") -> int:
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), len(buffer))
    request(what, task, kind, ctypes.addressof(vector))
    return vector[1]


def text_at(task: int, address: int) -> str:
    """The zero-ended text at an address of a stopped task; "" where it cannot be read."""
    try:
        with Path(f"/proc/{task}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            found = b""
            while b"\0" not in found and len(found) < 4096:
                found += memory.read(256)
    except (OSError, OverflowError):
        found = b""
    return found.partition(b"\0")[0].decode(errors="replace")


@functools.cache
def missing() -> str:
    """Why nothing can be traced here; "" where all is well. A tracer waits for every child: so it is a new process."""
    asked = [sys.executable, "-m", "tests.kill.ptrace"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def _missing() -> str:
    if sys.platform != "linux" or platform.machine() not in PLACES:
        return f"tracing is written for Linux on x86-64 and aarch64, not for {sys.platform} on {platform.machine()}"
    from tests.kill.tracer import traced

    try:
        outcome = traced(lambda: Path("/").mkdir(exist_ok=True))
    except OSError as error:
        return f"processes may not be traced here: {error.strerror}"
    return "" if outcome.count == 1 else "this kernel's seccomp stops no traced process"


if __name__ == "__main__":
    print(_missing())
