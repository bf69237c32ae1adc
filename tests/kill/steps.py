"""Steps of the use cases, killed at points that are spread over each, in a world beside an undisturbed one.

Both worlds go the same way, a step at a time. The undisturbed one runs the step and tells how many calls it makes. In
the other it is killed at point after point, each time going on from what the kill before it left, then run plainly,
and the worlds are compared; then the same with --force. Some kills are those of a fresh interpreter.
"""

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from common.ledger import Ledger
from tests.kill.tracer import Harm, Outcome
from tests.kill.zygote import Job, Zygote
from tests.uc1.universe import Universe

POINTS = int(os.environ.get("KILL_POINTS", "10"))
SEED = int(os.environ.get("KILL_SEED", "1"))
MODES = ("before", "torn", "after")
HEX = re.compile(r"[0-9a-f]{32,64}")
Facts = Callable[[Universe], Any]


@dataclass
class Pair:
    """An undisturbed world and one in which steps are killed. `facts` says what is compared."""

    zygote: Zygote
    calm: Universe
    killed: Universe
    facts: Facts
    points: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(SEED))

    def step(self, script: str, *args: str, code: int = 0, points: int = POINTS) -> int:
        """Sweep one step; returns how many kills there were."""
        whole = self.run(self.calm, script, *args)
        assert whole.status == code, self.said(self.calm)
        expected, done = self.facts(self.calm), 0
        for more, share in (((), points - points // 2), (("--force",), points // 2)):
            for fresh, harm in self.harms(whole.count, share):
                done += self.run(self.killed, script, *args, *more, harm=harm, fresh=fresh).harmed
            again = self.run(self.killed, script, *args)
            assert again.status == code, self.said(self.killed)
            found = self.facts(self.killed)
            assert found == expected, f"{script}, seed {SEED}: the worlds differ"
        print(f"{script}: {done} kills, {whole.count} calls")
        return done

    def harms(self, count: int, share: int) -> Iterator[tuple[bool, Harm]]:
        """Half spread evenly, some at random, and two among the last ten; the last one in a fresh interpreter."""
        even = [round(count * (n + 0.5) / (share // 2)) for n in range(share // 2)]
        last = [count - self._random.randrange(min(10, count)) for _ in range(min(2, share))]
        rest = [self._random.randint(1, count) for _ in range(share - len(even) - len(last))]
        for number, at in enumerate(sorted([*even, *last, *rest])):
            yield number == share - 1, Harm(self._random.choice(MODES), max(at, 1))

    def run(self, world: Universe, script: str, *args: str, harm: Harm | None = None, fresh: bool = False) -> Outcome:
        path = world.command(script=script)[1]
        (world.state / "output.txt").unlink(missing_ok=True)
        output = str(world.state / "output.txt")
        return self.zygote.run(Job(world.env, output, path, ("--no-start", *args), fresh), harm)

    def said(self, world: Universe) -> str:
        return (world.state / "output.txt").read_text()[-3000:]


def anonymous(world: Universe, value: Any) -> Any:
    """Without the world's own name, and what hashes of it look like."""
    text = json.dumps(value, default=str, sort_keys=True).replace(world.name, "NAME")
    return json.loads(HEX.sub("HASH", text))


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
