"""A world whose services all lie behind proxies, and steps that run in it while one of them misbehaves."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import yaml

from common.paths import ROOT
from tests.data.git_server import git_server
from tests.faults.proxy import Proxies
from tests.uc1.universe import Universe

SCRIPTS = {path.name[:6]: path for path in sorted(ROOT.glob("uc?_*/uc?_0*.py"))}
SECTIONS = {"s3": ("minio", "endpoint"), "mlflow": ("mlflow", "tracking_uri"), "kubernetes": ("kubernetes", "server"),
            "marquez": ("marquez", "url"), "metrics": ("prometheus", "url")}  # fmt: skip
# The policies' 60 seconds and the clients' time limits, both in a tenth: what is told of a cell is ten times that.
SCALE = 0.1
HURRIED = {"MLOPS_RETRY_SECONDS": str(60 * SCALE), "MLOPS_TIMEOUT_SCALE": str(SCALE)}
# A run that has not ended by then never will, however busy the machine is.
NEVER_SECONDS = 180.0
PASSWORD = "canary-of-git-0123456789"
W = TypeVar("W", bound=Universe)


@dataclass(frozen=True)
class Seen:
    """How a run ended, and what the proxy of the service that misbehaved saw of it."""

    code: int | None
    seconds: float
    said: str
    tries: int
    strikes: int
    requests: dict[str, int]

    @property
    def sentence(self) -> str:
        """What the run said was wrong, and what to do."""
        lines = [json.loads(line) for line in self.said.splitlines() if line.startswith('{"level": "error"')]
        failed = [line for line in lines if line["event"] == "failed"]
        return " ".join((failed[-1]["cause"], failed[-1]["hint"])) if failed else ""


class Nursery:
    """The warm process; see tests/faults/nursery.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._ready = False

    def run(
        self, argv: list[str], env: dict[str, str], out: Path, seconds: float = NEVER_SECONDS
    ) -> tuple[int | None, float, str]:
        """Run a script; its exit code (None: it never ended), seconds, and what it printed."""
        assert self._process.stdin
        assert self._process.stdout
        if not self._ready:
            assert self._process.stdout.readline() == "ready\n"
            self._ready = True
        order = {"argv": argv, "env": env, "stdout": f"{out}.out", "stderr": f"{out}.err", "seconds": seconds}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        code, took = json.loads(self._process.stdout.readline())
        return code, took, Path(f"{out}.out").read_text() + Path(f"{out}.err").read_text()

    def stop(self) -> None:
        """Hang up; it ends by itself."""
        self._process.communicate("", timeout=60)


class Stage:
    """One world behind proxies."""

    def __init__(self, world: Universe, proxies: Proxies, nursery: Nursery) -> None:
        self.world, self.proxies, self.nursery = world, proxies, nursery
        # Connections of an undisturbed run that ask nothing: it looks whether the platform is up.
        self.looks: dict[tuple[str, str], int] = {}

    def prepare(self, pipeline: str) -> None:
        """Run a whole pipeline undisturbed."""
        argv = [str(ROOT / pipeline / "run_pipeline.py"), "--no-start"]
        code, _, said = self.nursery.run(argv, self.world.env, self.world.state / "printed", 900)
        assert code == 0, said[-3000:]

    def run(self, step: str, *args: str, service: str = "", fault: str = "", since: int = 1, **env: str) -> Seen:
        """Run one step by force, hurried, while a service misbehaves from its nth request on."""
        script = SCRIPTS[step]
        if fault in ("refused", "reset") and since == 1:
            since += self.looks.get((step, service), 0)
        self.proxies.behave(service, fault, since)
        argv = [str(script), "--force", "--no-start", *args]
        code, seconds, said = self.nursery.run(argv, {**self.world.env, **HURRIED, **env}, self.world.state / "printed")
        proxy = self.proxies.of.get(service)
        requests = {name: len(each.requests) for name, each in self.proxies.of.items()}
        strikes = [each for each in proxy.strikes if not _is_relayed(step, service, each)] if proxy else []
        if not fault:
            self.looks |= {(step, name): each.looks for name, each in self.proxies.of.items()}
        self.proxies.behave()
        return Seen(code, seconds, said, _tries(said, strikes), len(strikes), requests)

    def secrets(self) -> list[str]:
        """What must never be printed."""
        settings = self.world.settings
        known = (settings.postgres.password, settings.minio.secret_key, settings.kubernetes.token)
        return [PASSWORD, *filter(None, (each.get_secret_value() for each in known))]

    def good_ends(self, step: str) -> int:
        """How often the ledger says that the step was done or unchanged."""
        with sqlite3.connect(f"file:{self.world.state / 'ledger.db'}?mode=ro", uri=True) as connection:
            query = ("SELECT count(*) FROM events WHERE kind = 'step_ended' AND step = ? "
                     "AND state IN ('done', 'unchanged')")  # fmt: skip
            return int(connection.execute(query, (SCRIPTS[step].stem,)).fetchone()[0])


def _is_relayed(step: str, service: str, strike: str) -> bool:
    """The run's own events, and the relay's questions after them, go the same way as what the step asks."""
    return (step, service) == ("uc4_02", "marquez") and not strike.startswith("GET /api/v1/search")


def _tries(said: str, strikes: list[str]) -> int:
    """How often the first call of the step that failed was tried: by the log of waits, or by equal requests."""
    lines = [json.loads(line) for line in said.splitlines() if '"waiting before the next try"' in line]
    waits = [line for line in lines if "step" in line]  # after it, the audit trail's anchor is tried too
    attempts = []
    for wait in waits:
        if attempts and wait["attempt"] == 1:
            break
        attempts.append(wait["attempt"])
    logged = max(attempts, default=0) + 1
    same = len([each for each in strikes if each == strikes[0]]) if strikes and strikes[0] != "" else 0
    return max(logged, same)


@dataclass(frozen=True)
class Behind(Generic[W]):
    """A world, and the proxies that it lies behind."""

    world: W
    proxies: Proxies


@contextmanager
def staged(kind: type[W], name: str, platform_state: Path) -> Iterator[tuple[W, Stage]]:
    """A world of this kind behind proxies, before it is seeded, and a warm process; everything stops at the end."""
    with behind(kind, name, platform_state) as made:
        nursery = Nursery()
        try:
            yield made.world, Stage(made.world, made.proxies, nursery)
        finally:
            nursery.stop()


@contextmanager
def behind(kind: type[W], name: str, platform_state: Path) -> Iterator[Behind[W]]:
    """A world of this kind behind proxies, before it is seeded."""
    directory = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        (directory / "nobody").mkdir()
        git = stack.enter_context(git_server(directory / name, "mlops", PASSWORD, directory / "nobody"))
        addresses = yaml.safe_load((platform_state / "addresses.yaml").read_text())
        proxies = Proxies({**_targets(addresses), "git": ("127.0.0.1", git.port)})
        stack.callback(proxies.stop)
        through = directory / "platform"
        through.mkdir()
        (through / "addresses.yaml").write_text(yaml.safe_dump(_redirected(addresses, proxies)))
        shutil.copy(platform_state / "seeded.yaml", through)
        world = kind(name, directory, through)
        _git_by_http(world, proxies.of["git"].port)
        yield Behind(world, proxies)


def _targets(addresses: dict[str, Any]) -> dict[str, tuple[str, int]]:
    urls = {service: addresses[section][key] for service, (section, key) in SECTIONS.items()}
    found = {service: (urlsplit(url).hostname or "", urlsplit(url).port or 80) for service, url in urls.items()}
    return {**found, "postgres": (addresses["postgres"]["host"], int(addresses["postgres"]["port"]))}


def _redirected(addresses: dict[str, Any], proxies: Proxies) -> dict[str, Any]:
    changed = json.loads(json.dumps(addresses))
    for service, (section, key) in SECTIONS.items():
        parts = urlsplit(changed[section][key])
        changed[section][key] = parts._replace(netloc=f"127.0.0.1:{proxies.of[service].port}").geturl()
    changed["postgres"] |= {"host": "127.0.0.1", "port": proxies.of["postgres"].port}
    return dict(changed)


def _git_by_http(world: Universe, port: int) -> None:
    """Let the world's repositories be reached over HTTP and a password, through the proxy."""
    file = world.state / "addresses.yaml"
    addresses = yaml.safe_load(file.read_text())
    base = f"http://mlops:{PASSWORD}@127.0.0.1:{port}"
    addresses["dvc"] = {"git_url": f"{base}/data.git"}
    if (world.state / "deployments.git").exists():
        direct = addresses["git"]["deployments_url"]
        addresses["git"] = {"deployments_url": f"{base}/deployments.git"}
        addresses["argocd"] = {"repository_url": direct}
    file.write_text(yaml.safe_dump(addresses))


def anonymous(text: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
