"""The API server's parts: patches, ownership of fields, and a store that loses nothing."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from embedded.kube import fields
from embedded.kube.errors import ApiError
from embedded.kube.fields import Conflict, Manager
from embedded.kube.kinds import NAMESPACE, SERVING_RUNTIME
from embedded.kube.objects import Objects
from embedded.kube.patches import PatchError, json_patch, merge_patch
from embedded.kube.rules import Target, Writer
from embedded.kube.store import Store
from embedded.kube_api import token_of

Document = dict[str, Any]


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": 1}, {"a": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
    ],
)
def test_merge_patch_follows_rfc_7396(target: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(target, patch) == expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/b", "value": 1}, {"a": [1, 2], "b": 1}),
        ({"op": "add", "path": "/a/1", "value": 9}, {"a": [1, 9, 2]}),
        ({"op": "add", "path": "/a/-", "value": 9}, {"a": [1, 2, 9]}),
        ({"op": "replace", "path": "/a/0", "value": 9}, {"a": [9, 2]}),
        ({"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"op": "move", "from": "/a/0", "path": "/b"}, {"a": [2], "b": 1}),
        ({"op": "copy", "from": "/a", "path": "/x~1y"}, {"a": [1, 2], "x/y": [1, 2]}),
        ({"op": "test", "path": "/a", "value": [1, 2]}, {"a": [1, 2]}),
        ({"op": "add", "path": "", "value": {"whole": 1}}, {"whole": 1}),
    ],
)
def test_json_patch_follows_rfc_6902(operation: Document, expected: Any) -> None:
    assert json_patch({"a": [1, 2]}, [operation]) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/b", "value": 1},
        {"op": "remove", "path": "/a/7"},
        {"op": "test", "path": "/a", "value": 0},
        {"op": "add", "path": "/b/c", "value": 1},
        {"op": "dance", "path": "/a"},
        {"op": "add", "path": "a"},
        "add",
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused_as_a_whole(operation: Any) -> None:
    document = {"a": [1, 2]}
    with pytest.raises(PatchError):
        json_patch(document, [{"op": "remove", "path": "/a/0"}, operation])
    assert document == {"a": [1, 2]}


def applied(live: Document, spec: Document, manager: str, *, force: bool = False) -> Document:
    writer = Manager(manager, "Apply", "v1", "", "2026-01-02T03:04:05Z")
    return fields.apply(live, {"metadata": {"name": "x"}, "spec": spec}, writer, force=force)


EMPTY: Document = {"metadata": {"name": "x"}}


def test_a_conflict_lists_every_owner_and_field_in_the_servers_words() -> None:
    live = applied(applied(EMPTY, {"a": 1, "b": {"c": 1}}, "first"), {"d": 1}, "second")
    with pytest.raises(Conflict) as caught:
        applied(live, {"a": 2, "b": {"c": 2}, "d": 2}, "third")
    first, second = 'conflicts with "first":\n- .spec.a\n- .spec.b.c', 'conflicts with "second":\n- .spec.d'
    assert str(caught.value) == f"Apply failed with 3 conflicts: {first}\n{second}"
    with pytest.raises(Conflict, match=r'^Apply failed with 1 conflict: conflict with "second": \.spec\.d$'):
        applied(live, {"d": 2}, "third")


def test_maps_that_lose_their_last_field_go_with_it() -> None:
    live = applied(applied(EMPTY, {"a": {"b": {"c": 1}}, "d": 1}, "first"), {"d": 1}, "first")
    assert live["spec"] == {"d": 1}


def test_an_empty_map_can_be_owned_and_is_kept() -> None:
    live = applied(applied(EMPTY, {"a": {}}, "first"), {"b": 1}, "second")
    assert live["spec"] == {"a": {}, "b": 1}


def test_managed_fields_read_back_as_they_were_written() -> None:
    live = applied(EMPTY, {"a": {"b": 1, "c.d/e": [1]}, "f": {}}, "first")
    (manager,) = fields.managers(live)
    assert manager.fields == {("spec", "a", "b"), ("spec", "a", "c.d/e"), ("spec", "f")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "objects.db")


def runtime(name: str = "one", **spec: Any) -> Document:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [{"name": "c"}], **spec}}


def test_objects_versions_and_notes_survive_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path / "objects.db")
    made = Objects(first).create(Target(SERVING_RUNTIME, "default"), runtime(), Writer("test"))
    first.note("port", 8123)
    again = Store(tmp_path / "objects.db")
    assert again.get(SERVING_RUNTIME, "default", "one") == made
    assert (again.version(), again.noted("port")) == (first.version(), 8123)


def test_history_is_bounded_and_says_where_it_begins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedded.kube.store.KEPT_EVENTS", 10)
    objects, target = Objects(store), Target(SERVING_RUNTIME, "default", "one")
    objects.create(Target(SERVING_RUNTIME, "default"), runtime(), Writer("test"))
    for number in range(30):
        objects.patch(target, lambda live: merge_patch(live, {"spec": {"x": number}}), Writer("test"))  # noqa: B023
    assert objects.get(target)["spec"]["x"] == 29
    assert store.oldest() == store.version() - 10
    assert len(store.events_after(0, SERVING_RUNTIME)) == 10


def test_a_write_between_looking_and_waiting_is_not_missed(store: Store) -> None:
    async def look_then_wait() -> float:
        seen = store.version()
        store.put(NAMESPACE, {"metadata": {"name": "meanwhile"}}, "ADDED")
        started = asyncio.get_running_loop().time()
        await store.changed(seen, 10)
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(look_then_wait()) < 5


def test_an_object_with_a_finalizer_waits_for_it_to_be_removed(store: Store) -> None:
    objects, target = Objects(store), Target(SERVING_RUNTIME, "default", "one")
    document = runtime()
    document["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    objects.create(Target(SERVING_RUNTIME, "default"), document, Writer("test"))
    assert objects.delete(target)["metadata"]["deletionTimestamp"]
    objects.patch(target, lambda live: merge_patch(live, {"metadata": {"finalizers": None}}), Writer("test"))
    with pytest.raises(ApiError, match="not found"):
        objects.get(target)


def test_the_token_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "kubernetes"
    token = token_of(path)
    assert (token_of(path), len(token) >= 32) == (token, True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
