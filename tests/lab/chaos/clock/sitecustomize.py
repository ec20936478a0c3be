"""Python imports this first where this folder is on PYTHONPATH: the clock of that process is off.

It shows the time in CLOCK_AHEAD seconds. Pauses and time-outs, by the monotonic clock, stay as they are.
"""

import datetime as module
import os
import time

_AHEAD = float(os.environ["CLOCK_AHEAD"])
_time, _time_ns = time.time, time.time_ns
_Real = module.datetime


class _Type(type):
    """Values that C code made, such as rows of psycopg, are instances of the replaced class, too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _Real)


class _Ahead(_Real, metaclass=_Type):
    __slots__ = ()  # the size that C code expects

    @classmethod
    def now(cls, tz: module.tzinfo | None = None) -> "_Ahead":
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> "_Ahead":
        return cls.fromtimestamp(time.time(), module.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> "_Ahead":
        return cls.fromtimestamp(time.time())


# Adapters and serializers look classes up by name.
_Ahead.__name__ = _Ahead.__qualname__ = "datetime"
_Ahead.__module__ = "datetime"
time.time = lambda: _time() + _AHEAD
time.time_ns = lambda: _time_ns() + round(_AHEAD * 1e9)
module.datetime = _Ahead  # type: ignore[misc]
