"""Runs a function as a process of its own, follows all that it starts, and does harm at one mutating system call.

    traced(function)                                     count the calls of the whole tree
    traced(function, Harm("before", 17))                 SIGKILL to the whole tree in front of the 17th
    traced(function, Harm("after", 17))                  ... behind it
    traced(function, Harm("torn", 17))                   ... behind it, a write having written half
    traced(function, Harm("errno", 17, errno.ENOSPC))    from the 17th on the disk refuses
    traced(function, Harm("errno", 17, errno.EIO, once=True))

The tree is dead when `traced` returns. Calls are counted over the tree in the order in which they come.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.kill import ptrace
from tests.kill.syscalls import CALLS, NUMBERS, install_filter

WALL = 0x40000000
STOPS = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


class Harm(NamedTuple):
    """What is done to the tree, and at which call."""

    mode: str = ""
    at: int = 0
    errno: int = 0
    once: bool = False


class Made(NamedTuple):
    """A call that was made: on which files, and what came of it."""

    task: int
    name: str
    paths: tuple[str, ...]
    result: int


class Outcome(NamedTuple):
    """How many calls there were, how the first process ended, whether harm was done, and, if recorded, the calls."""

    count: int
    status: int
    harmed: bool
    calls: tuple[Made, ...] = ()


def traced(
    function: Callable[[], Any], harm: Harm | None = None, record: bool = False, output: str = os.devnull
) -> Outcome:
    """Run the function in a child and return how that went; -9 is the status of one that was killed.

    What it prints is appended to the file `output`, which is opened before anything is counted.
    """
    ready, go = os.pipe()
    child = os.fork()
    if not child:
        _run(function, ready, go, output)
    os.close(ready)
    ptrace.request(ptrace.SEIZE, child, 0, ptrace.FOLLOW)
    os.write(go, b".")
    os.close(go)
    return _Tree(child, harm or Harm(), record).followed()


def _run(function: Callable[[], Any], ready: int, go: int, output: str) -> None:
    code = 70
    try:
        os.close(go)
        if os.read(ready, 1):
            _redirect(output)
            install_filter()
            code = function() or 0
    finally:
        os._exit(code)


def _redirect(output: str) -> None:
    printed = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, source in enumerate((nothing, printed, printed)):
        os.dup2(source, descriptor)
    os.closerange(3, max(nothing, printed) + 1)


class _Tree:
    """Every task that came from `root`. A killed tree is waited for until nobody is left."""

    def __init__(self, root: int, harm: Harm, record: bool) -> None:
        self._root, self._harm, self._record = root, harm, record
        self._tasks, self._pending = {root}, dict[int, Made]()
        self._calls: list[Made] = []
        self._count, self._status, self._harmed, self._dying = 0, 0, False, False

    def followed(self) -> Outcome:
        for task, status in _events():
            if os.WIFSTOPPED(status):
                with contextlib.suppress(ProcessLookupError):
                    self._stopped(task, os.WSTOPSIG(status), status >> 16)
                continue
            self._tasks.discard(task)
            if task == self._root:
                self._status = os.waitstatus_to_exitcode(status)
        return Outcome(self._count, self._status, self._harmed, tuple(self._calls))

    def _stopped(self, task: int, number: int, event: int) -> None:
        self._tasks.add(task)
        if self._dying:
            _kill(task)
        elif event == ptrace.EVENT_SECCOMP:
            self._count += 1
            self._at_call(task)
        elif event == ptrace.EVENT_STOP and number in STOPS:
            ptrace.request(ptrace.LISTEN, task)
        elif number == signal.SIGTRAP | 0x80:
            self._behind_call(task)
        else:
            ptrace.request(ptrace.CONT, task, 0, 0 if event or number == signal.SIGTRAP else number)

    def _at_call(self, task: int) -> None:
        """Let the call happen, and stop behind it where something is to be done there; or let it not happen."""
        mode, at, errno, once = self._harm
        here = self._count == at
        if here and mode == "before":
            return self._kill()
        stop_behind = here and mode in ("after", "torn")
        if here and mode == "torn":
            _halve(task)
        elif mode == "errno" and 0 < at <= self._count and (here or not once) and _on_disk(_call(task)):
            self._harmed = True
            ptrace.refuse(task, errno)
        elif self._record and not stop_behind:
            self._pending[task] = _call(task)
            stop_behind = True
        ptrace.request(ptrace.SYSCALL if stop_behind else ptrace.CONT, task)

    def _behind_call(self, task: int) -> None:
        if made := self._pending.pop(task, None):
            self._calls.append(made._replace(result=ptrace.call_of(task).result))
            ptrace.request(ptrace.CONT, task)
        else:
            self._kill()

    def _kill(self) -> None:
        self._harmed = self._dying = True
        for task in self._tasks:
            _kill(task)


def _events() -> Iterator[tuple[int, int]]:
    while True:
        try:
            yield os.waitpid(-1, WALL)
        except ChildProcessError:
            return


def _kill(task: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(task, signal.SIGKILL)


def _call(task: int) -> Made:
    """The call that a task is about to make, with the files that it names."""
    info = ptrace.call_of(task)
    name = NUMBERS[info.number]
    shape = CALLS[name]
    named = tuple(_absolute(task, info, index) for index in shape.paths)
    of_fd = () if shape.fd is None else (_link(task, f"fd/{info.arguments[shape.fd] & 0xFFFFFFFF}"),)
    return Made(task, name, named + of_fd, 0)


def _absolute(task: int, info: ptrace.Info, index: int) -> str:
    """A path as the call means it: below the directory of the descriptor in front of it, or below the current one."""
    path = ptrace.text_at(task, info.arguments[index])
    if path.startswith("/"):
        return path
    name = NUMBERS[info.number]
    directory = info.arguments[index - 1] & 0xFFFFFFFF if name.endswith(("at", "at2")) else 0xFFFFFF9C
    where = _link(task, "cwd" if directory == 0xFFFFFF9C else f"fd/{directory}")
    return os.path.normpath(f"{where}/{path}")


def _link(task: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{task}/{name}").readlink())
    except OSError:
        return ""


def _on_disk(made: Made) -> bool:
    """Would a full disk refuse it? Not what frees room, nor pipes, sockets and devices."""
    return CALLS[made.name].makes and all(
        p.startswith("/") and not p.startswith(("/dev/", "/proc/")) for p in made.paths
    )


def _halve(task: int) -> None:
    """Let a write write half of what it would; another call stays as it is."""
    info = ptrace.call_of(task)
    index = CALLS[NUMBERS[info.number]].length
    if index is not None and info.arguments[index] > 1:
        ptrace.set_argument(task, index, info.arguments[index] // 2)
