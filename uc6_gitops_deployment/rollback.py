"""Taking a promotion back: a commit that gives the overlay the content it had before, and a version that is held."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from common.errors import StepFailed, UsageError
from common.git_client import Change
from common.git_objects import trailer
from common.logger import get_logger
from common.settings_uc6 import LAST
from uc6_gitops_deployment import overlay
from uc6_gitops_deployment.overlay import Declared

if TYPE_CHECKING:
    from common.tools import Tools

log = get_logger(__name__)
REVERTED = "Reverted-Commit"


def take_back(tools: "Tools") -> str:
    """Revert the last promotion, or `uc6.rollback` and all after it, and hold the version; returns its number.

    Asked for again it changes nothing: the newest commit that moved the version says what it reverted.
    """
    environment, wanted = tools.settings.uc6.to, tools.settings.uc6.rollback
    published = tools.git.publish(lambda head: _revert(tools, head, environment, wanted))
    if published.created:
        tools.context.effect("commit", published.commit, environment=environment, reverts=wanted)
    moved = _last_move(tools, published.commit, environment)
    bad, good = _declared(tools, tools.git.parent(moved)), _declared(tools, moved)
    return _hold(tools, bad, good, moved)


def _revert(tools: "Tools", head: str, environment: str, wanted: str) -> Change | None:
    """The commit that takes back; None where the newest one that moved the version did."""
    place = overlay.folder(environment)
    history = tools.git.history(head, place)
    if not history:
        raise StepFailed(f"{place} has no commits: there is nothing to take back.", "Promote a version first.")
    moved = _last_move(tools, head, environment)
    target = moved if wanted == LAST else tools.git.find(wanted)
    reverted = trailer(tools.git.message(moved), REVERTED)
    if reverted and (wanted == LAST or reverted == target):
        log.info("taken back already", commit=reverted[:12])
        return None
    if target not in history:
        raise UsageError(f"{wanted} is no commit that changed {place}.", f"The last is {history[0][:12]}.")
    now, old = tools.git.files(head, place), tools.git.files(tools.git.parent(target), place)
    if overlay.declared(old, environment) is None:
        raise StepFailed(
            f"{target[:12]} is the first promotion to {environment}: there is nothing to go back to.",
            "Promote another version instead: uc6_01_promote_model_git.py --version N",
        )
    return Change({**dict.fromkeys(now), **old}, _message(tools, target, old), datetime.now(UTC))


def _last_move(tools: "Tools", head: str, environment: str) -> str:
    """The newest commit after which the overlay deploys something else; people change other things there as well."""
    history = tools.git.history(head, overlay.folder(environment))
    moves = (each for each in history if _declared(tools, each) != _declared(tools, tools.git.parent(each)))
    return next(moves, history[0])


def _message(tools: "Tools", target: str, old: dict[str, str]) -> str:
    subject = tools.git.message(target).splitlines()[0]
    back = overlay.declared(old, tools.settings.uc6.to)
    assert back is not None
    trailers = {"Model-Name": tools.settings.uc1.model_name, "Model-Version": back.version,
                "Model-Digest": back.digest, REVERTED: target}  # fmt: skip
    lines = "\n".join(f"{name}: {value}" for name, value in trailers.items())
    return f'Revert "{subject}"\n\nThis reverts commit {target}.\n\n{lines}\n'


def _hold(tools: "Tools", bad: Declared | None, good: Declared | None, commit: str) -> str:
    """Tag the version that was taken out; a manifest that only says that it is one of ours holds nobody."""
    versions = tools.mlflow.versions(tools.settings.uc1.model_name)
    known = {(each.version, each.digest): each for each in versions}
    held, successor = (known.get((each.version, each.digest)) if each else None for each in (bad, good))
    if held is None or (bad and good and bad.digest == good.digest):
        return ""
    tools.mlflow.hold(held, f"rolled back by commit {commit[:12]}", successor)
    tools.context.effect("hold", f"{held.name} v{held.version}", commit=commit)
    return held.version


def _declared(tools: "Tools", commit: str) -> Declared | None:
    environment = tools.settings.uc6.to
    return overlay.declared(tools.git.files(commit, overlay.folder(environment)), environment)
