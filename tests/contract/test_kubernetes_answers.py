"""What a real API server may answer, each status as our promises say: tries, kind of error, what is told.

The bodies are those of apimachinery and of the proxies before it; no cluster has to be made to fail for them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.errors import AccessRefused, MlopsError, Unavailable
from common.k8s_client import Kubernetes
from common.k8s_errors import Changed, FieldConflict, NoSuchKind, NoSuchNamespace, Refused
from common.retry import TRIES
from common.settings import Kubernetes as Section
from tests.contract.scripted_api import Answer, Scripted, scripted, status

RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime",
    "metadata": {"name": "one", "namespace": "models"}, "spec": {"containers": []},
}  # fmt: skip
WHERE = {"name": "one", "group": "serving.kserve.io", "kind": "servingruntimes"}
CONFLICT = {
    "causes": [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit" using serving.kserve.io/v1alpha1 at 2026-01-01T00:00:00Z',
            "field": ".spec.disabled",
        }
    ]
}
INVALID = {
    **WHERE,
    "causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"}],
}
OLD = "Operation cannot be fulfilled on servingruntimes: the object has been modified; please apply your changes"
UNDECLARED = (
    "failed to create typed patch object (argocd/p; argoproj.io/v1alpha1, Kind=AppProject): "
    ".spec.clusterResourceWhitelist[0].name: field not declared in schema"
)
FORBIDDEN = 'servingruntimes.serving.kserve.io "one" is forbidden: User "system:serviceaccount:mlops:x" cannot patch'
WEBHOOK = 'admission webhook "servingruntime.kserve-webhook-server.validator" denied the request: no container'


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")


@pytest.fixture
def api() -> Iterator[Scripted]:
    with scripted() as made:
        yield made


def client(api: Scripted) -> Kubernetes:
    return Kubernetes(Section(server=api.server, token=SecretStr("t0ken-of-ours"), embedded=True))


@pytest.mark.parametrize(
    ("answer", "kind", "tries", "said"),
    [
        (status(401, "Unauthorized", "Unauthorized"), AccessRefused, 1, "does not accept our token"),
        (status(403, "Forbidden", FORBIDDEN, WHERE), AccessRefused, 1, "cannot patch"),
        (status(403, "Forbidden", WEBHOOK), Refused, 1, "no container"),
        (Answer(404, "404 page not found"), NoSuchKind, 1, "does not know the kind"),
        (status(404, "NotFound", 'namespaces "models" not found', {"name": "models", "kind": "namespaces"}),
         NoSuchNamespace, 1, "not found"),
        (status(409, "Conflict", "Apply failed with 1 conflict", CONFLICT), FieldConflict, 1,
         r'\.spec\.disabled \(conflict with "kubectl-edit"'),
        (status(409, "Conflict", OLD, WHERE), Changed, TRIES, "the object has been modified"),
        (status(409, "AlreadyExists", 'servingruntimes "one" already exists', WHERE), Changed, 1, "already exists"),
        (status(422, "Invalid", "is invalid", INVALID), Refused, 1, r"spec\.containers: Required value"),
        (status(429, "TooManyRequests", "please try again later"), Unavailable, TRIES, "429"),
        (status(500, "", UNDECLARED), Refused, 1, "field not declared in schema"),
        (status(500, "InternalError", "failed calling webhook: connection refused"), Unavailable, TRIES, "webhook"),
        (Answer(502, "<html>Bad Gateway</html>"), Unavailable, TRIES, "502"),
        (Answer(503, "no endpoints available"), Unavailable, TRIES, "503"),
        (status(504, "Timeout", "request did not complete within the allotted timeout"), Unavailable, TRIES, "504"),
        (Answer(200, "<html>Please log in</html>"), Unavailable, 1, "no Kubernetes object"),
        (Answer(200, "[]"), Unavailable, 1, "no Kubernetes object"),
    ],
)  # fmt: skip
def test_each_answer_to_an_apply_is_tried_and_told_as_promised(
    api: Scripted, answer: Answer, kind: type[MlopsError], tries: int, said: str
) -> None:
    api.answers = [answer]
    with pytest.raises(MlopsError, match=said) as raised:
        client(api).apply(RUNTIME)
    assert type(raised.value) is kind
    assert len(api.asked) == tries
    assert "t0ken-of-ours" not in f"{raised.value} {raised.value.hint}"


def test_an_answer_that_passes_is_not_told_at_all(api: Scripted) -> None:
    api.answers = [
        status(503, "ServiceUnavailable", "starting"),
        status(429, "TooManyRequests", "later"),
        Answer(200, RUNTIME),
    ]
    assert client(api).apply(RUNTIME)["kind"] == "ServingRuntime"
    assert len(api.asked) == 3


def test_a_missing_object_is_none_while_a_missing_kind_is_an_error(api: Scripted) -> None:
    api.answers = [status(404, "NotFound", 'servingruntimes.serving.kserve.io "one" not found', WHERE)]
    assert client(api).get("ServingRuntime", "one", "models") is None
    assert client(api).delete("ServingRuntime", "one", "models") is False
    api.answers = [Answer(404, "404 page not found\n")]
    with pytest.raises(NoSuchKind):
        client(api).get("ServingRuntime", "one", "models")


def event(kind: str, version: str) -> dict[str, object]:
    return {
        "type": kind,
        "object": {**RUNTIME, "metadata": {"name": "one", "namespace": "models", "resourceVersion": version}},
    }


GONE = status(410, "Expired", "too old resource version: 5 (900)")


@pytest.mark.parametrize("gone", [Answer(200, [{"type": "ERROR", "object": GONE.body}]), GONE])
def test_a_watch_goes_on_after_410_whether_told_as_an_event_or_as_the_answer(api: Scripted, gone: Answer) -> None:
    api.answers = [Answer(200, [event("ADDED", "5")]), gone, Answer(200, [event("MODIFIED", "901")])]
    seen = []
    for kind, document in client(api).watch("ServingRuntime", "models", "one", 10):
        seen.append((kind, document["metadata"]["resourceVersion"]))
        if len(seen) == 2:
            break
    assert seen == [("ADDED", "5"), ("MODIFIED", "901")]
    asked = [path.partition("resourceVersion=")[2].partition("&")[0] for _, path in api.asked]
    assert asked == ["", "5", ""], "after 410 it starts from the present state"


def test_a_watch_that_is_refused_midway_says_why_instead_of_asking_for_ever(api: Scripted) -> None:
    refused = status(403, "Forbidden", "servingruntimes is forbidden: no longer").body
    api.answers = [Answer(200, [event("ADDED", "5"), {"type": "ERROR", "object": refused}])]
    with pytest.raises(AccessRefused, match="no longer"):
        list(client(api).watch("ServingRuntime", "models", "one", 10))
    assert len(api.asked) == 1


def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_frenzy(api: Scripted) -> None:
    api.answers = [Answer(200, [])]
    assert list(client(api).watch("ServingRuntime", "models", "one", 1)) == []
    assert len(api.asked) <= 7


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with tls.crt and tls.key of 127.0.0.1, signed by itself."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    place, key = tmp_path_factory.mktemp("pki"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256())
    )  # fmt: skip
    (place / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (place / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return place


def in_pod(monkeypatch: pytest.MonkeyPatch, account: Path, api: Scripted) -> Kubernetes:
    """A client that finds what a pod finds: two variables and the directory of its ServiceAccount."""
    from kubernetes.config import incluster_config

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    return Kubernetes(Section(embedded=False))


def test_in_a_pod_its_service_accounts_token_and_authority_are_used(
    tmp_path: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("token-of-the-pod")
    (tmp_path / "ca.crt").write_bytes((pki / "tls.crt").read_bytes())
    with scripted(pki / "tls.crt", pki / "tls.key") as api:
        api.answers = [Answer(200, {"gitVersion": "v1.34.1"})]
        assert in_pod(monkeypatch, tmp_path, api).ping() == "v1.34.1"
        assert [each.lower() for each in api.tokens] == ["bearer token-of-the-pod"]


def test_in_a_pod_a_server_of_another_authority_is_not_spoken_to(
    tmp_path: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import certifi

    (tmp_path / "token").write_text("token-of-the-pod")
    (tmp_path / "ca.crt").write_text(Path(certifi.where()).read_text())
    with scripted(pki / "tls.crt", pki / "tls.key") as api:
        api.answers = [Answer(200, {"gitVersion": "v1.34.1"})]
        with pytest.raises(Unavailable, match="does not answer"):
            in_pod(monkeypatch, tmp_path, api).ping()
        assert api.tokens == [], "no token is sent to a stranger"
