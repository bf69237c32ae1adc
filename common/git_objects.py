"""Git's objects made by plumbing, in a bare repository: until something points at them nobody sees them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from common.git_command import git
from common.process import CommandFailed

TREE, FILE = "040000 tree", "100644 blob"
_Nested = dict[str, "str | _Nested | None"]


def tree_with(repository: Path, tree: str, files: Mapping[str, str | None]) -> str:
    """Name of a tree with these files changed, by path; None removes one, and a folder that becomes empty goes too.

    `tree` is "" for nothing yet. Equal content has an equal name.
    """
    return _tree_with(repository, tree, _nested(files)) or git(repository, "mktree", input=b"").strip()


def _tree_with(repository: Path, tree: str, changes: _Nested) -> str:
    entries = dict(_entries(repository, tree))
    for name, change in changes.items():
        made = _changed(repository, entries.pop(name, ("", "")), change)
        if made[1]:
            entries[name] = made
    if not entries:
        return ""
    lines = "".join(f"{kind} {object_id}\t{name}\0" for name, (kind, object_id) in entries.items())
    return git(repository, "mktree", "-z", input=lines.encode()).strip()


def _changed(repository: Path, entry: tuple[str, str], change: "str | _Nested | None") -> tuple[str, str]:
    """The entry after its change; its second half is "" where it goes."""
    if change is None:
        return FILE, ""
    if isinstance(change, dict):
        return TREE, _tree_with(repository, entry[1] if entry[0] == TREE else "", change)
    return FILE, git(repository, "hash-object", "-w", "--stdin", input=change.encode()).strip()


def _entries(repository: Path, tree: str) -> Iterator[tuple[str, tuple[str, str]]]:
    listed = git(repository, "ls-tree", "-z", tree) if tree else ""
    for line in filter(None, listed.split("\0")):
        facts, name = line.split("\t", 1)
        kind, _, object_id = facts.rpartition(" ")
        yield name, (kind, object_id)


def _nested(files: Mapping[str, str | None]) -> _Nested:
    """{"a/b": "text"} as {"a": {"b": "text"}}."""
    root: _Nested = {}
    for path, content in files.items():
        *above, name = path.split("/")
        node = root
        for part in above:
            below = node.setdefault(part, {})
            assert isinstance(below, dict)
            node = below
        node[name] = content
    return root


def commit_tree(repository: Path, tree: str, parent: str, message: str, who: Mapping[str, str]) -> str:
    """Hash of the commit; the same for the same arguments. `parent` is "" for a first one, `who` git_command.author."""
    parents = ("-p", parent) if parent else ()
    return git(repository, "commit-tree", tree, *parents, env=who, input=message.encode()).strip()


def parsed(repository: Path, expression: str) -> str:
    """The object that an expression names, or "". Callers put hashes in front, and checked paths behind the colon."""
    try:
        return git(repository, "rev-parse", "--quiet", "--verify", "--end-of-options", expression).strip()
    except CommandFailed as error:
        if error.returncode == 1 or "unknown revision" in error.stderr or "does not exist" in error.stderr:
            return ""
        raise


def trailer(message: str, name: str) -> str:
    """The value of a trailer of a commit's message; "" where it has none of this name."""
    lines = (line.partition(": ") for line in message.splitlines())
    return next((value for found, _, value in lines if found == name), "")
