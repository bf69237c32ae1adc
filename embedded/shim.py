"""Keeps one service running: starts it, restarts it after a crash, rotates its log, stops it when told to.

One of these lives per service, with nothing but the standard library (12 MB). It inherits two things that the
kernel takes back however it dies: the lock that means "this service is supervised" and the reservation of its port.

Run by embedded/units.py only:  python -I -S shim.py NAME < specification as JSON
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
TICK_SECONDS = 5.0
STEADY_SECONDS = 20.0  # a service that lived this long is no failed start
LONGEST_PAUSE_SECONDS = 10.0


class Shim:
    """One service under supervision."""

    def __init__(self, specification: dict[str, Any]) -> None:
        self.spec = specification
        self.log = Path(specification["log"])
        self.child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self.restarts = 0
        self.failures = 0  # starts in a row that did not last
        self.wake = self._listen_to_signals()

    def run(self) -> None:
        """Until told to stop: start the service, watch it, start it again."""
        while not self.stopping() and not self._is_homeless():
            started = time.monotonic()
            self._start()
            self._watch()
            self._end_group()
            if self.stopping():
                break
            self.restarts += 1
            self.failures = self.failures + 1 if time.monotonic() - started < STEADY_SECONDS else 1
            self._note(pid=None)
            self._pause(min(0.1 * 2**self.failures, LONGEST_PAUSE_SECONDS))
        Path(self.spec["record"]).unlink(missing_ok=True)

    def stopping(self) -> bool:
        """Were we told to stop?"""
        return self._stopping

    def _start(self) -> None:
        self.child = None
        try:
            with self.log.open("ab") as log:
                self.child = subprocess.Popen(
                    self.spec["command"], env=self.spec["environment"], cwd=self.spec["directory"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
                    preexec_fn=self._become_the_service,
                )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"cannot start {self.spec['command'][0]}: {error}\n")
        self._note(pid=self.child.pid if self.child else None)

    def _become_the_service(self) -> None:
        """Between fork and exec: give up root where asked, and die when the shim dies."""
        os.umask(0o077)
        uid = self.spec["uid"]
        if uid is not None:
            os.setgroups([])
            os.setgid(self.spec["gid"])
            os.setuid(uid)
        if sys.platform == "linux":  # after setuid, which clears it
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, self.spec["stop_signal"], 0, 0, 0)
            if os.getppid() != self.spec["shim"]:
                os._exit(1)

    def _watch(self) -> None:
        """Wait for the service to end; while waiting keep its log bounded, and stop it when asked to."""
        kill_at = None
        while self.child and self.child.poll() is None:
            if self.stopping() and kill_at is None:
                self._signal(self.spec["stop_signal"])
                kill_at = time.monotonic() + self.spec["stop_seconds"]
            if kill_at and time.monotonic() > kill_at:
                self._signal(signal.SIGKILL)
            self._rotate()
            self._stopping = self._stopping or self._is_homeless()
            self._sleep(TICK_SECONDS if kill_at is None else 0.2)

    def _signal(self, number: int) -> None:
        if self.child and self.child.poll() is None:
            self.child.send_signal(number)

    def _end_group(self) -> None:
        """What the service itself left behind."""
        if self.child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, signal.SIGKILL)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping() and time.monotonic() < until:
            self._sleep(until - time.monotonic())

    def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until a signal arrives."""
        ready, _, _ = select.select([self.wake], [], [], max(seconds, 0))
        if ready:
            os.read(self.wake, 4096)

    def _rotate(self) -> None:
        """Copy and truncate: the service holds the file open for appending and goes on at its new end."""
        limit = self.spec["log_bytes"]
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > limit:
                shutil.copyfile(self.log, f"{self.log}.1")
                os.truncate(self.log, 0)

    def _is_homeless(self) -> bool:
        """Was the state directory deleted under us? Then nobody can find us any more: stop."""
        ours = os.fstat(self.spec["lock"])
        try:
            named = Path(self.spec["lock_path"]).stat()
        except FileNotFoundError:
            return ours.st_nlink == 0
        return ours.st_nlink == 0 and named.st_ino != ours.st_ino

    def _note(self, pid: int | None) -> None:
        record = {
            "shim": os.getpid(), "pid": pid, "since": time.time(), "restarts": self.restarts,
            "failures": self.failures, "digest": self.spec["digest"], "port": self.spec["port"],
        }  # fmt: skip
        path = Path(self.spec["record"])
        aside = path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk is no reason to stop the service
            aside.write_text(json.dumps(record))
            aside.replace(path)

    def _listen_to_signals(self) -> int:
        """Make signals wake `select`; without this a stop could be lost between a check and a wait."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # Handlers and not SIG_IGN: what is ignored stays ignored in the service, which then cannot be stopped by it.
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        return reader

    def _stop(self, *_: object) -> None:
        self._stopping = True


def main() -> NoReturn:
    """Read the specification (it holds secrets, so it comes by stdin) and supervise until told to stop."""
    os.umask(0o077)
    specification = json.load(sys.stdin)
    Shim({**specification, "shim": os.getpid()}).run()
    sys.exit(0)


if __name__ == "__main__":
    main()
