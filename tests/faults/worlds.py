"""The world that the matrix runs in where UC1 is over: served, judged, and with something for every use case to do."""

from tests.uc3.drifting_world import DriftingWorld
from tests.uc5.world import FairnessWorld
from tests.uc6.world import Deployments


class Everything(DriftingWorld, Deployments, FairnessWorld):
    """Version 1 is champion and served, version 2 waits; both passed both gates; a population that has moved."""

    def seed(self) -> "Everything":
        super().seed()
        for version in self.tools.mlflow.versions(self.model_name):
            self.draw(version)
        champion = self.tools.mlflow.champion(self.model_name)
        assert champion is not None
        self.tools.kserve.deploy(self.deployment(champion))
        self.tools.kserve.wait_until_ready(self.deployment(champion))
        return self
