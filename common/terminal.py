"""What we print is UTF-8, whatever the locale says: in an ASCII one, a tick would end a good run with an error."""

import io
import sys


def speak_utf8() -> None:
    """Called first where a program of ours begins; what is no text at all is shown as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
