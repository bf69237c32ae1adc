"""Every way in which programs write a secret: what must not be shown either."""

import base64
import html
import json
import shlex
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

SHORTEST_IN_BASE64 = 8  # fewer letters are met by chance


def forms(secret: str) -> frozenset[str]:
    """The secret itself, and as it stands in a URL, a form, JSON, a repr, a shell's line, HTML and a Basic login."""
    in_urls = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    folded = {form.lower() if "%" in form else form for form in in_urls}
    once = _escaped(secret)
    twice = {form for each in once for form in _escaped(each)}  # the repr of a list of JSON texts, for one
    quoted = {shlex.quote(secret), html.escape(secret)}
    return frozenset({secret, *in_urls, *folded, *once, *twice, *quoted, *_in_base64(secret)})


def _escaped(text: str) -> set[str]:
    """Inside JSON, and inside a repr, whose quotes depend on what stands beside it."""
    in_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return {*in_json, repr(text)[1:-1], repr(f"\"'{text}")[4:-1], text.replace("\\", "\\\\")}


def _in_base64(secret: str) -> Iterator[str]:
    """Its letters behind zero, one or two others, such as a user's name: those that it alone decides."""
    raw = secret.encode()
    if len(raw) < SHORTEST_IN_BASE64:
        return
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        text = whole[first:last]
        yield from (text, text.replace("+", "-").replace("/", "_"))
