"""Small JSON schemas of the specs that we write, and what KServe's admission webhook checks beyond them.

The real CRDs are two megabytes. tests/serving/test_manifests.py holds what we write against the real ones.
"""

import re
from typing import Any

Schema = dict[str, Any]

ANY: Schema = {}
TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
MODE = "serving.kserve.io/deploymentMode"
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SCHEMES = ("s3://", "gs://", "pvc://", "http://", "https://", "hdfs://", "webhdfs://", "oci://", "hf://")


def thing(required: tuple[str, ...] = (), open_: bool = False, **properties: Schema) -> Schema:
    """An object with these properties; others are refused unless it is open."""
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": open_,
    }


def many(item: Schema) -> Schema:
    """A list of `item`."""
    return {"type": "array", "items": item}


ENV = many(thing(("name",), name=TEXT, value=TEXT, valueFrom=ANY))
CONTAINER = thing(("name",), open_=True, name=TEXT, image=TEXT, command=many(TEXT), args=many(TEXT), env=ENV)


def _model(*required: str) -> Schema:
    return thing(
        required, modelFormat=thing(("name",), name=TEXT, version=TEXT), storageUri=TEXT, storage=ANY, runtime=TEXT,
        runtimeVersion=TEXT, protocolVersion={"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}, env=ENV, args=many(TEXT),
        command=many(TEXT), resources=ANY, name=TEXT, image=TEXT, ports=ANY, livenessProbe=ANY, readinessProbe=ANY,
        startupProbe=ANY, imagePullPolicy=TEXT, securityContext=ANY, volumeMounts=ANY, envFrom=ANY,
    )  # fmt: skip


def _predictor(model: Schema) -> Schema:
    return thing(
        model=model, name=TEXT, minReplicas=INTEGER, maxReplicas=INTEGER, scaleTarget=INTEGER, scaleMetric=TEXT,
        timeout=INTEGER, containerConcurrency=INTEGER, canaryTrafficPercent=PERCENT, logger=ANY, batcher=ANY,
        serviceAccountName=TEXT, labels=LABELS, annotations=LABELS, containers=many(CONTAINER), volumes=ANY,
        nodeSelector=ANY, tolerations=ANY, affinity=ANY, imagePullSecrets=ANY, deploymentStrategy=ANY, storageUris=ANY,
        securityContext=ANY, terminationGracePeriodSeconds=INTEGER,
    )  # fmt: skip


# `model.name` is required in a canary, as in the real CRD: write `name: kserve-container`.
CANARY = thing(("predictor", "trafficPercent"), trafficPercent=PERCENT,
               predictor=_predictor(_model("modelFormat", "name")))  # fmt: skip
INFERENCE_SERVICE = thing(("predictor",), predictor=_predictor(_model("modelFormat")), canary=many(CANARY),
                          transformer=ANY, explainer=ANY)  # fmt: skip
SERVING_RUNTIME = thing(
    ("containers",), open_=True, containers=many(CONTAINER), disabled={"type": "boolean"},
    protocolVersions=many(TEXT), labels=LABELS, annotations=LABELS,
    supportedModelFormats=many(thing(("name",), name=TEXT, version=TEXT, autoSelect={"type": "boolean"},
                                     priority=INTEGER)),
)  # fmt: skip
# Fractions must be quoted in Iter8's quantities, and its names are snake_case in one place only.
QUANTITY: Schema = {"type": ["integer", "string"]}
NAMED_VALUES = many(thing(("name", "value"), name=TEXT, value=TEXT))
VERSION = thing(("name",), name=TEXT, variables=NAMED_VALUES, weightObjRef=thing(
    apiVersion=TEXT, kind=TEXT, name=TEXT, namespace=TEXT, fieldPath=TEXT, resourceVersion=TEXT, uid=TEXT))  # fmt: skip
CRITERIA = thing(
    requestCount=TEXT, indicators=many(TEXT), strength=ANY,
    objectives=many(thing(("metric",), metric=TEXT, upperLimit=QUANTITY, lowerLimit=QUANTITY,
                          rollback_on_failure={"type": "boolean"})),
    rewards=many(thing(("metric", "preferredDirection"), metric=TEXT, preferredDirection={"enum": ["High", "Low"]})),
)  # fmt: skip
EXPERIMENT = thing(
    ("target", "strategy"), target=TEXT, criteria=CRITERIA,
    duration=thing(intervalSeconds=INTEGER, iterationsPerLoop=INTEGER, maxLoops=INTEGER),
    versionInfo=thing(("baseline",), baseline=VERSION, candidates=many(VERSION)),
    strategy=thing(
        ("testingPattern",), deploymentPattern={"enum": ["FixedSplit", "Progressive", "BlueGreen"]}, actions=ANY,
        testingPattern={"enum": ["Canary", "A/B", "A/B/N", "Conformance"]},
        weights=thing(maxCandidateWeight=PERCENT, maxCandidateWeightIncrement=PERCENT)),
)  # fmt: skip
METRIC = thing(
    params=NAMED_VALUES, headerTemplates=NAMED_VALUES, mock=ANY, type={"enum": ["Counter", "Gauge"]},
    method={"enum": ["GET", "POST"]}, authType={"enum": ["Basic", "Bearer", "APIKey"]},
    body=TEXT, description=TEXT, jqExpression=TEXT, provider=TEXT, sampleSize=TEXT, secret=TEXT, units=TEXT,
    urlTemplate=TEXT,
)  # fmt: skip
APPLICATION = thing(("destination", "project"), open_=True, project=TEXT, destination={"type": "object"})
APP_PROJECT = thing(open_=True)


def admit_inference_service(new: dict[str, Any], old: dict[str, Any] | None) -> str:
    """What KServe's validating webhook refuses: a name, a scheme, a change of mode, canaries that do not add up."""
    name, predictor = new["metadata"]["name"], new["spec"]["predictor"]
    if not NAME.fullmatch(name):
        return f'the InferenceService "{name}" is invalid: a name must match {NAME.pattern}'
    if "model" not in predictor and not predictor.get("containers"):
        return "exactly one of [Custom, ONNX, Model] must be specified in PredictorSpec"
    uri = predictor.get("model", {}).get("storageUri", "")
    if uri and not uri.startswith(SCHEMES):
        return f"storageUri, must be one of: [{', '.join(SCHEMES)}] or a path, not {uri}"
    if old and deployment_mode(old) != deployment_mode(new):
        change = f"from {deployment_mode(old)} to {deployment_mode(new)}"
        return f"update rejected: deploymentMode cannot be changed {change}"
    return _admit_canaries(new, predictor)


def deployment_mode(service: dict[str, Any]) -> str:
    """Standard or Knative, from the annotation; old names are understood."""
    said = service["metadata"].get("annotations", {}).get(MODE, "Standard")
    known = {"RawDeployment": "Standard", "Serverless": "Knative"}
    return known.get(said, str(said))


def _admit_canaries(new: dict[str, Any], predictor: dict[str, Any]) -> str:
    canaries = new["spec"].get("canary", [])
    if not canaries:
        return ""
    if new["metadata"].get("annotations", {}).get(MODE) != "Standard":
        return f'spec.canary needs the annotation {MODE}: "Standard"'
    if sum(canary["trafficPercent"] for canary in canaries) > 100:
        return "the traffic of all canaries exceeds 100 percent"
    names = [canary["predictor"].get("name", "") for canary in canaries]
    if "" in names or len(set(names)) < len(names) or predictor.get("name", "") in names:
        return "each canary needs a name of its own, different from the predictor's"
    return ""
