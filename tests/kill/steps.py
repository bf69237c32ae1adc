"""Steps of the use cases, killed at points that are spread over each, in a world beside an undisturbed one.

Both worlds go the same way, a step at a time. The undisturbed one runs the step and tells how many calls it makes. In
the other it is killed at point after point, each time going on from what the kill before it left, then run plainly,
and the worlds are compared; then the same with --force. Some kills are those of a fresh interpreter.
"""

import difflib
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from common.ledger import Ledger
from common.paths import ROOT
from tests.kill.tracer import Harm, Outcome
from tests.kill.zygote import Job, Zygote
from tests.uc1.universe import Universe

POINTS = int(os.environ.get("KILL_POINTS", "10"))
FEWER = max(POINTS * 6 // 10, 4)  # of steps that are made of effects, which are swept call by call elsewhere
SEED = int(os.environ.get("KILL_SEED", "1"))
MODES = ("before", "torn", "after")
HASH = re.compile(r"[0-9a-f]{16,64}|\d{8}T\d{12}Z")  # and what is named by a moment
# What is named by content that holds no name of its world, so that two worlds must have the very same bytes.
ALIKE = ("raw/", "models/", "features/", "pipelines/", "dvc/")
KINDS = ("InferenceService", "ServingRuntime", "Experiment", "Metric")


@dataclass
class Pair:
    """An undisturbed world and one in which steps are killed. `more` is compared beside what `facts` compares."""

    zygote: Zygote
    calm: Universe
    killed: Universe
    more: Callable[[Any], Any] = lambda _: None
    _random: random.Random = field(default_factory=lambda: random.Random(SEED))

    def step(self, script: str, *args: str, code: int = 0, points: int = POINTS) -> None:
        """Sweep one step: killed at so many points, and each time like the undisturbed one in the end."""
        whole = self.run(self.calm, script, *args)
        assert whole.status == code, self.said(self.calm)
        expected, calls, flags = self.facts(self.calm), whole.count, args
        for share in (points - points // 2, points // 2):
            for harm, fresh in self.harms(share):
                calls, flags = self.kill(script, flags, harm, calls, fresh)
            again = self.run(self.killed, script, *args)
            assert again.status == code, self.said(self.killed)
            self.compare(expected, f"{script}, seed {SEED}")
            flags = (*args, "--force")
        print(f"{script}: {points} kills in up to {whole.count} calls")

    def kill(
        self, script: str, flags: tuple[str, ...], harm: tuple[str, float], calls: int, fresh: bool
    ) -> tuple[int, tuple[str, ...]]:
        """Kill at a share of the calls. A run that goes on where a killed one was has fewer: measure, and force it."""
        mode, share = harm
        for _ in range(8):
            outcome = self.run(self.killed, script, *flags, harm=Harm(mode, max(round(share * calls), 1)), fresh=fresh)
            if outcome.status == -9:
                return calls, flags
            if outcome.harmed or "--force" in flags:
                calls = min(round(calls * 0.9), outcome.count)  # from run to run it differs by some
            flags = flags if "--force" in flags else (*flags, "--force")
        raise AssertionError(f"{script} was not killed: {outcome}, {self.said(self.killed)}")

    def harms(self, points: int) -> Iterator[tuple[tuple[str, float], bool]]:
        """Modes and shares: half spread evenly, others at random, the last at the end and in a fresh interpreter."""
        even = [(n + 0.5) / (points // 2) for n in range(points // 2)]
        shares = [*even, *(self._random.random() for _ in range(points - len(even) - 1)), 0.97]
        for number, share in enumerate(sorted(shares), 1):
            yield (self._random.choice(MODES), share), number == points

    def run(self, world: Universe, script: str, *args: str, harm: Harm | None = None, fresh: bool = False) -> Outcome:
        (path,) = map(str, ROOT.glob(f"uc*/{script}"))
        (world.state / "output.txt").unlink(missing_ok=True)
        output = str(world.state / "output.txt")
        return self.zygote.run(Job(world.env, output, path, ("--no-start", *args), fresh), harm)

    def compare(self, expected: Any, said: str) -> None:
        lines = [
            json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (expected, self.facts(self.killed))
        ]
        differing = "\n".join(difflib.unified_diff(*lines, "undisturbed", "killed", lineterm="", n=3))
        assert not differing, f"{said}: the worlds differ\n{differing}"

    def facts(self, world: Universe) -> Any:
        return anonymous(world, {**facts(world), "more": self.more(world)})

    def said(self, world: Universe) -> str:
        return (world.state / "output.txt").read_text()[-3000:]


def facts(world: Universe) -> dict[str, Any]:
    """Registry, objects, commits, Kubernetes, and what the ledger says."""
    tools = world.tools
    store = {each.key: each.etag for each in tools.minio.list("") if each.key.startswith(ALIKE)}
    name = world.settings.uc1.namespace
    there = [(each["kind"], each["metadata"]["name"], each["spec"]) for kind in KINDS
             for each in tools.kubernetes.list(kind, name)]  # fmt: skip
    return {"world": world.world(), "ledger": told(world), "bytes": sorted(store.items()), "kubernetes": there}


def anonymous(world: Universe, value: Any) -> Any:
    """Without the world's own name, and what hashes of it look like."""
    text = json.dumps(value, default=str, sort_keys=True).replace(world.name, "NAME")
    return json.loads(HASH.sub("HASH", text))


def told(world: Universe) -> dict[str, Any]:
    """What the ledger says of each step: its newest good result, and everything it ever changed."""
    ledger = Ledger(world.state / "ledger.db", read_only=True)
    assert ledger.first_bad_entry() is None
    said: dict[str, Any] = {}
    for event in ledger.events():
        about = said.setdefault(event.step, {"effects": set()}) if event.step else {}
        if event.kind == "effect":
            about["effects"].add((event.state, event.body["target"]))
        elif event.kind == "step_ended" and event.state in ("done", "unchanged"):
            about["result"] = event.result_type
    ledger.close()
    return {step: {**about, "effects": sorted(about["effects"])} for step, about in said.items()}
