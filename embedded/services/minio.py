"""S3: SeaweedFS in one process, loopback only, every port closed to strangers, healthy only after a real write."""

from __future__ import annotations

import json
import secrets
import sysconfig
from pathlib import Path

from common.errors import ConfigError
from common.publish import write_atomically
from embedded.addresses import Sections
from embedded.layout import Layout
from embedded.ports import PortRange
from embedded.secret_files import secret, secret_path
from embedded.services import probes
from embedded.units import Program

ACCESS_KEY = "mlops"
MLFLOW_BUCKET = "mlflow"
PROBE_BUCKET = "platform-probe"
# Without these keys the filer answers anonymous reads, writes and deletes.
TOKEN_KEYS = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
PORT_FLAGS = (
    "s3.port", "master.port", "volume.port", "filer.port", "s3.port.grpc", "master.port.grpc", "volume.port.grpc",
    "filer.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip
# Paths are relative to the data directory: a socket's path may have no more than 107 bytes, a clone's may be long.
FLAGS = (
    "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
    "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
    "-master.electionTimeout=1s", "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false",
)  # fmt: skip


class Minio:
    """The object store."""

    name = "minio"
    needs: tuple[str, ...] = ()
    publishes: tuple[str, ...] = ("minio",)
    waits_itself = False
    ports: PortRange | None = PortRange(8333, size=10)
    patience_seconds = 60.0

    def __init__(self, layout: Layout, bucket: str) -> None:
        self.layout = layout
        self.bucket = bucket
        self.data = layout.embedded / "s3"

    def install(self) -> None:
        """The data directory, and the file that gives our key its rights."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        key = {"accessKey": ACCESS_KEY, "secretKey": secret(self.layout, "minio")}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identities = {"identities": [{"name": ACCESS_KEY, "credentials": [key], "actions": actions}]}
        content = json.dumps(identities).encode()
        if not self._identities.exists() or self._identities.read_bytes() != content:
            write_atomically(self._identities, content, 0o600)

    def program(self, port: int) -> Program:
        """All flags each time: it saves them and would start with the old ones."""
        ports = [f"-{flag}={port + offset}" for offset, flag in enumerate(PORT_FLAGS)]
        command = (_weed(), "-logtostderr=true", "mini", *FLAGS, *ports, f"-s3.config={self._identities}")
        tokens = {f"WEED_JWT_{key}_KEY": secret(self.layout, f"seaweed-{key.lower()}") for key in TOKEN_KEYS}
        environment = {"GOMEMLIMIT": "300MiB", **tokens}
        return Program(self.name, command, str(self.data), environment, stop_seconds=8)

    def before_start(self) -> None:
        """Sockets of a killed life are in the way of the next."""
        for left in self.data.glob("*.sock"):
            left.unlink()

    def check(self, port: int) -> None:
        """A write that is stored: the health page says yes seconds before that works."""
        self._put(port, f"/{PROBE_BUCKET}", b"")
        # Large enough for a volume: the smallest objects are kept with their names.
        self._put(port, f"/{PROBE_BUCKET}/up", secrets.token_bytes(2048))

    def prepare(self, port: int) -> None:
        """The buckets."""
        for bucket in (self.bucket, MLFLOW_BUCKET):
            self._put(port, f"/{bucket}", b"")

    def sections(self, port: int) -> Sections:
        """Where clients connect to, and with what."""
        key_file = str(secret_path(self.layout, "minio"))
        endpoint = f"http://127.0.0.1:{port}"
        return {"minio": {"endpoint": endpoint, "access_key": ACCESS_KEY, "secret_key_file": key_file}}

    @property
    def _identities(self) -> Path:
        return self.layout.embedded / "s3-identities.json"

    def _put(self, port: int, path: str, body: bytes) -> None:
        probes.s3_put(port, path, body, (ACCESS_KEY, secret(self.layout, "minio")))


def _weed() -> str:
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        raise ConfigError(f"SeaweedFS is not installed: there is no {program}.", "pip install -r requirements.txt")
    return str(program)
