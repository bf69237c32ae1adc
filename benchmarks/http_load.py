"""A load generator that costs little: raw HTTP/1.1 over asyncio, in a process of its own.

Run it:  python benchmarks/http_load.py --port 8080 --path /v1/models/m:predict --connections 32 --seconds 5 < body.json
Prints one line of JSON: requests per second, latency percentiles in milliseconds, answers that were not 200.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Counted:
    """What the connections saw."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0


async def ask(port: int, request: bytes, until: float, counted: Counted) -> None:
    """One keep-alive connection, one request after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (started := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        at = head.lower().index(b"content-length:") + len(b"content-length:")
        await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        counted.latencies.append(time.perf_counter() - started)
        counted.failures += not head.startswith(b"HTTP/1.1 200")
    writer.close()


async def load(port: int, request: bytes, connections: int, seconds: float) -> Counted:
    """All connections, for so many seconds."""
    counted, until = Counted(), time.perf_counter() + seconds
    await asyncio.gather(*(ask(port, request, until, counted) for _ in range(connections)))
    return counted


def main() -> None:
    """Read the body from stdin, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    import uvloop

    body = sys.stdin.buffer.read()
    head = (
        f"POST {args.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    counted = uvloop.run(load(args.port, head.encode() + body, args.connections, args.seconds))
    ordered = sorted(counted.latencies)
    at = {
        name: 1000 * ordered[int(len(ordered) * share)] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    print(json.dumps({"rps": len(ordered) / args.seconds, "failures": counted.failures, **at}))


if __name__ == "__main__":
    main()
