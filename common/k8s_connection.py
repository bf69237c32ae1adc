"""How a Kubernetes API is reached, and at which address each kind lies there."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common.settings import Kubernetes as Section

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

KINDS = {
    "Namespace": ("v1", "namespaces"),
    "Deployment": ("apps/v1", "deployments"),
    "CronJob": ("batch/v1", "cronjobs"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "InferenceService": ("serving.kserve.io/v1beta1", "inferenceservices"),
    "ServingRuntime": ("serving.kserve.io/v1alpha1", "servingruntimes"),
    "Experiment": ("iter8.tools/v2alpha2", "experiments"),
    "Metric": ("iter8.tools/v2alpha2", "metrics"),
    "Application": ("argoproj.io/v1alpha1", "applications"),
    "AppProject": ("argoproj.io/v1alpha1", "appprojects"),
}


def connect(settings: Section) -> "ApiClient":
    """A client by server and token, else by kubeconfig, else by the pod's own credentials."""
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration

    if settings.server:
        return ApiClient(_explicit(settings))
    configuration = Configuration()
    if settings.kubeconfig:
        context = settings.context or None
        config.load_kube_config(settings.kubeconfig, context, configuration, persist_config=False)
    else:
        config.load_incluster_config(configuration)
    configuration.retries = 0
    return ApiClient(configuration)


def _explicit(settings: Section) -> "Configuration":
    """Address and token as configured; nothing of the user's kubeconfig, and no proxy to a loopback address."""
    from kubernetes.client import Configuration

    configuration = Configuration()
    configuration.host = settings.server.rstrip("/")
    configuration.api_key = {"authorization": f"Bearer {settings.token.get_secret_value()}"}
    configuration.verify_ssl = settings.verify_tls
    configuration.ssl_ca_cert = settings.ca_file or None
    configuration.retries = 0  # common.retry repeats, and only it
    if settings.embedded:
        configuration.proxy = None
    return configuration


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """Path of a collection, or of one object in it."""
    api_version, plural = KINDS[kind]
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{root}{scope}/{plural}" + (f"/{quote(name, safe='')}" if name else "")


def named(document: dict[str, Any]) -> str:
    """Kind namespace/name, for messages."""
    metadata = document["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{document['kind']} {place}{metadata['name']}"
