"""Starts the laptop's platform when a run needs it and it is down. It is another program: we only call it."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from common.config_sources import yaml_layer
from common.errors import ConfigError, ExitCode, Unavailable
from common.lock import RUN_MARK
from common.logger import get_logger
from common.paths import ROOT, state_dir
from common.settings import Settings

log = get_logger(__name__)
USES = {"kserve": {"kubernetes", "minio"}, "feast": {"postgres", "minio"}, "kubeflow": {"mlflow", "minio", "postgres"},
        "dvc": {"dvc", "minio"}, "mlflow": {"mlflow", "postgres", "minio"},
        "argocd": {"kubernetes", "git"}, "marquez": {"marquez", "postgres"}}  # fmt: skip
PROGRAM_NAMES = {"dvc": "git", "prometheus": "kubernetes"}
START_SECONDS = 300


def ensure_up(
    settings: Settings, needs: set[str], no_start: bool = False, welcome: frozenset[str] | set[str] = frozenset()
) -> bool:
    """Start the embedded services among `needs` that do not answer. True when something was started.

    What is `welcome` is started beside them where the run needs anything at all, and missed by nobody.
    Raises Unavailable (exit 69) when what is needed is down and `no_start`, or does not come up.
    """
    needed = sorted(name for name in embedded_services(settings, needs) if not answers(settings, name))
    wanted = embedded_services(settings, set(welcome)) if needs and not no_start else set()
    down = sorted({*needed, *(name for name in wanted if not answers(settings, name))})
    if not down:
        return False
    if no_start:
        raise Unavailable(f"The embedded platform is down ({', '.join(down)}).", "Start it: python -m embedded up")
    print(f"Starting the embedded platform ({', '.join(down)}); stop it later with `python -m embedded down`.",
          file=sys.stderr)  # fmt: skip
    try:
        _start(_programs(down))
    except Unavailable:
        log.warning("going on without what is only welcome", missing=[name for name in down if name not in needed])
        if needed:
            _start(_programs(needed))
    return True


def uses(service: str, needs: set[str]) -> bool:
    """Do tools of these names stand on the service?"""
    return any(service in USES.get(need, {need}) for need in needs)


def embedded_services(settings: Settings, needs: set[str]) -> set[str]:
    """The embedded services that tools of these names stand on."""
    wanted = {service for need in needs for service in USES.get(need, {need})}
    return {name for name, section in settings.services().items() if section.embedded and name in wanted} - {"kubeflow"}


def is_reachable_service(settings: Settings, name: str) -> bool:
    """Is there anything to talk to? A remote service is asked by whoever wants something of it."""
    return answers(settings, name) if settings.services()[name].embedded else True


def answers(settings: Settings, name: str) -> bool:
    """Is the service up? A port alone proves nothing: it may be a stranger's, or the address may be stale.

    So its address must be published, its supervisor must hold its lock, and something must listen. A file URL
    answers when it exists.
    """
    if name not in yaml_layer(state_dir() / "addresses.yaml").values or not _is_supervised(name):
        return False
    host, port, path = address_of(settings, name)
    if path is not None:
        return Path(path).is_dir()
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _is_supervised(name: str) -> bool:
    """Is the lock of the service's supervisor taken? True where this state directory only borrows a platform."""
    lock = state_dir() / "embedded" / "units" / f"{PROGRAM_NAMES.get(name, name)}.lock"
    if not lock.exists():
        return True
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return PROGRAM_NAMES.get(name) == "git"


def address_of(settings: Settings, name: str) -> tuple[str, int, str | None]:
    """Host and port of a service, or the path of a file URL."""
    if name == "postgres":
        return settings.postgres.host, settings.postgres.port, None
    urls = {"minio": settings.minio.url, "mlflow": settings.mlflow.tracking_uri, "dvc": settings.dvc.git_url,
            "kubernetes": settings.kubernetes.server, "git": settings.git.deployments_url,
            "prometheus": settings.prometheus.url,
            "argocd": settings.argocd.server or settings.kubernetes.server,
            "marquez": settings.marquez.url}  # fmt: skip
    parts = urlsplit(urls[name])
    if parts.scheme in ("", "file"):
        return "", 0, parts.path
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), None


def _programs(services: list[str]) -> list[str]:
    return sorted({PROGRAM_NAMES.get(name, name) for name in services})


def _start(names: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != RUN_MARK}
    command = [sys.executable, "-m", "embedded", "up", "--only", ",".join(names)]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, timeout=START_SECONDS)
    except subprocess.TimeoutExpired:
        sentence = f"The embedded platform did not start within {START_SECONDS} s."
        raise Unavailable(sentence, "python -m embedded status; its logs are in .state/logs.") from None
    if done.returncode:
        kind = ConfigError if done.returncode == ExitCode.CONFIG else Unavailable
        raise kind("The embedded platform did not start; the lines above say why.", "python -m embedded status")
