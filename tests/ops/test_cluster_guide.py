"""docs/how-to/cluster.md sets up what the six use cases need of a cluster."""

import re

import pytest
import yaml

from common.config import load_settings
from common.paths import ROOT
from tests.ops.manifests import PLACE

GUIDE = (ROOT / "docs" / "how-to" / "cluster.md").read_text()


def seconds_of(setting: str) -> float:
    found = re.search(rf"--set server\.global\.{setting}=(\d+)s", GUIDE)
    assert found, f"{setting} is the chart's default"
    return float(found[1])


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_prometheus_scrapes_twice_in_a_window_of_the_canary_and_takes_its_own_settings(environment: str) -> None:
    assert 2 * seconds_of("scrape_interval") <= load_settings(environment=environment).iter8.interval_seconds
    assert seconds_of("scrape_timeout") <= seconds_of("scrape_interval"), "Prometheus would not start"


def test_kserve_is_told_of_the_gateway_that_is_made() -> None:
    documents = yaml.safe_load_all((PLACE / "services" / "gateway.yaml").read_text())
    (gateway,) = [each for each in documents if each["kind"] == "Gateway"]
    named = f'"kserveIngressGateway": "{gateway["metadata"]["namespace"]}/{gateway["metadata"]["name"]}"'
    assert named in GUIDE
    assert '"enableGatewayApi": true' in GUIDE
    assert "kubectl apply -f deploy/k8s/services/gateway.yaml" in GUIDE
    (listener,) = gateway["spec"]["listeners"]
    assert listener["allowedRoutes"] == {"namespaces": {"from": "All"}}, "routes lie beside the models"
