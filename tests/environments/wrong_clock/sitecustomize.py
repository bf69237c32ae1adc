"""A clock that is wrong, for every Python process that has this directory on its PYTHONPATH.

WRONG_CLOCK holds three numbers: the seconds by which it is off, those by which it is off later, and the reading of the
monotonic clock, which all processes of a machine share, at which it jumps from the one to the other.
"""

import datetime
import os
import time

_real, _time, _time_ns = datetime.datetime, time.time, time.time_ns
_gmtime, _localtime = time.gmtime, time.localtime
_before, _after, _jump = (float(number) for number in os.environ["WRONG_CLOCK"].split())


def _off() -> float:
    return _after if time.monotonic() >= _jump else _before


class _Like(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real)


class _Shifted(_real, metaclass=_Like):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return _real.fromtimestamp(time.time(), tz)

    @classmethod
    def today(cls) -> datetime.datetime:  # type: ignore[override]
        return cls.now()

    @classmethod
    def utcnow(cls) -> datetime.datetime:  # type: ignore[override]
        return cls.now(datetime.UTC).replace(tzinfo=None)


time.time = lambda: _time() + _off()
time.time_ns = lambda: _time_ns() + int(_off() * 1e9)
time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
datetime.datetime = _Shifted  # type: ignore[misc]
