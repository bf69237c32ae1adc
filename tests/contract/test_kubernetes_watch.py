"""Watches tell of every write, in order, and are taken up again where they broke."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from common.errors import DeadlineExceeded
from tests.contract.conftest import Cluster

Document = dict[str, Any]


def soon(action: Any, seconds: float = 0.3) -> threading.Thread:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_a_watch_shows_what_is_there_then_every_change_then_the_end(cluster: Cluster) -> None:
    cluster.kube.create(cluster.runtime("one"))

    def change() -> None:
        cluster.kube.merge_patch("ServingRuntime", "one", cluster.namespace, {"spec": {"disabled": True}})
        cluster.kube.create(cluster.runtime("another"))
        cluster.kube.delete("ServingRuntime", "one", cluster.namespace)

    changing, seen = soon(change), []
    for event, document in cluster.kube.watch("ServingRuntime", cluster.namespace, "one", 20):
        seen.append((event, document["metadata"]["name"], document["spec"].get("disabled", False)))
        if event == "DELETED":
            break
    changing.join()
    assert seen == [("ADDED", "one", False), ("MODIFIED", "one", True), ("DELETED", "one", True)]


def test_waiting_ends_when_the_object_is_as_wanted(cluster: Cluster) -> None:
    cluster.kube.create(cluster.runtime("one"))
    patch = {"spec": {"disabled": True}}
    changing = soon(lambda: cluster.kube.merge_patch("ServingRuntime", "one", cluster.namespace, patch))
    found = cluster.kube.wait_for(
        "ServingRuntime", "one", cluster.namespace, lambda each: bool(each["spec"].get("disabled")), 20
    )
    changing.join()
    assert found["spec"]["disabled"] is True


def test_waiting_for_what_never_comes_ends_at_its_deadline(cluster: Cluster) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="one was not as wanted"):
        cluster.kube.wait_for("ServingRuntime", "one", cluster.namespace, lambda _: True, 1)
    assert time.monotonic() - started < 10


def lines(cluster: Cluster, **query: str) -> Iterator[Document]:
    """A watch of all ServingRuntimes of the namespace, event by event, without our client's resuming."""
    from kubernetes import client, config

    api = client.CustomObjectsApi(config.new_client_from_config(str(cluster.kubeconfig)))
    answer = api.list_namespaced_custom_object(
        "serving.kserve.io", "v1alpha1", cluster.namespace, "servingruntimes", watch=True, timeout_seconds=3,
        _preload_content=False, **query,
    )  # fmt: skip
    import json

    yield from (json.loads(line) for line in answer if line.strip())


def test_a_watch_from_a_version_tells_only_what_came_after(cluster: Cluster) -> None:
    version = cluster.kube.create(cluster.runtime("one"))["metadata"]["resourceVersion"]
    cluster.kube.create(cluster.runtime("two"))
    event = next(lines(cluster, resource_version=version))
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "two")


def test_a_history_that_is_gone_is_answered_410(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    if cluster.api is None:
        pytest.skip("a real server keeps its history for minutes")
    from embedded.kube.store import KEPT_EVENTS

    first = cluster.kube.create(cluster.runtime("one"))["metadata"]["resourceVersion"]
    # Writing thousands of objects over HTTP would take a minute, so the history is made short in its file.
    import sqlite3

    with sqlite3.connect(cluster.api.state / "embedded" / "kube" / "objects.db") as database:
        database.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'events'", (KEPT_EVENTS + 10,))
    event = next(lines(cluster, resource_version=first))
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    seen = next(cluster.kube.watch("ServingRuntime", cluster.namespace, "one", 5))
    assert seen[1]["metadata"]["name"] == "one", "our own watch starts anew"
