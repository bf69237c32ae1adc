"""The ways in which a stored object lies. Each takes its bytes, and another whole object's, and gives what lies there.

An object lies `openly` where it has kept the digest that was noted with it, as damaged disks and cut uploads do; and
`with its papers` where whoever wrote it noted what is there now.
"""

from collections.abc import Callable

from common.minio_client import ObjectStore

HTML = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>\n"
Lie = Callable[[bytes, bytes], bytes]


def flipped(at: float) -> Lie:
    """One bit is another, this far into the object."""

    def lie(honest: bytes, other: bytes) -> bytes:
        place = int(len(honest) * at)
        return honest[:place] + bytes([honest[place] ^ 0x10]) + honest[place + 1 :]

    return lie


LIES: dict[str, Lie] = {
    "empty": lambda honest, other: b"",
    "HTML": lambda honest, other: HTML,
    "cut in half": lambda honest, other: honest[: len(honest) // 2],
    "cut by a byte": lambda honest, other: honest[:-1],
    "the head only": lambda honest, other: honest[:8],
    "a bit flipped in front": flipped(0.1),
    "a bit flipped in the middle": flipped(0.5),
    "a bit flipped at the end": flipped(0.97),
    "zeroes": lambda honest, other: bytes(len(honest)),
    "another whole one": lambda honest, other: other,
}


def put(store: ObjectStore, key: str, content: bytes, metadata: dict[str, str]) -> None:
    """Replace an object as somebody would who does not ask our client."""
    store.client.put_object(Bucket=store.bucket, Key=key, Body=content, Metadata=metadata)


def papers(store: ObjectStore, key: str) -> dict[str, str]:
    """What is noted with an object."""
    return dict(store.stat(key).metadata)
