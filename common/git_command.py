"""The git command, run so that nothing of the machine's own set-up changes what it does.

No prompt, no hooks, no signing, no repository inherited from the surroundings; a deadline on every call. What
the user needs to reach a remote (ssh agent, credential helpers) stays. Errors come in our own words, without
the URL's user info; git is given the URL without it too, and the credentials by its environment alone.
"""

import base64
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from common import retry
from common.errors import AccessRefused, ConfigError, Unavailable
from common.patience import ANSWER_SECONDS, patience
from common.process import CommandFailed, run_command
from common.settings import Git as Section
from common.transient import GIT_FINAL

DEADLINE_SECONDS = 60
CURL_SECONDS = 6  # that curl takes to notice a silence in the middle of an answer: it goes by the mean of some seconds
LONGEST_SAID = 600
BRANCH_RULES = re.compile(r"protected branch|hook declined|GH013|rule violations|push declined", re.IGNORECASE)
UNTRUSTED = re.compile(r"SSL certificate|certificate verification", re.IGNORECASE)
# GIT_DIR and its like point a command inside a hook at another repository.
KEPT = {"GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_ASKPASS", "GIT_HTTP_USER_AGENT"}
FIXED = (
    "core.hooksPath=/dev/null", "commit.gpgSign=false", "core.autocrlf=false", "core.fsync=all", "gc.auto=0",
    "protocol.ext.allow=never", "init.defaultBranch=main", "core.quotePath=false",
)  # fmt: skip


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without what would redirect git, and with what keeps it from asking.

    And from writing where it is only to look: a killed `git status` would leave a lock in the user's own checkout.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in KEPT}
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0"}
    return {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=5", **own, **quiet, **(extra or {})}


def git(where: Path, *args: str, env: Mapping[str, str] | None = None, input: bytes | None = None) -> str:
    """Run one git command in `where` and return what it printed. Raises CommandFailed."""
    # Over HTTP git waits for ever for a server that has gone silent.
    silent_seconds = max(1, round(patience(ANSWER_SECONDS - CURL_SECONDS)))
    silence = ("http.lowSpeedLimit=1", f"http.lowSpeedTime={silent_seconds}")
    settings = [part for each in (*FIXED, *silence) for part in ("-c", each)]
    command = ["git", *settings, *args]
    return run_command(command, cwd=where, env=environment(env), deadline_seconds=DEADLINE_SECONDS, input=input)


@contextmanager
def in_our_words(what: str, url: str, setting: str) -> Iterator[None]:
    """Turn a failed git command about the remote `url` into one of our errors; `setting` holds the URL."""
    try:
        yield
    except CommandFailed as error:
        shown = without_user(url)
        if retry.git.is_transient(error):
            raise Unavailable(f"{what} at {shown} does not answer: {_said(error)}.", "Try again later.") from error
        if "is this a git repository" in error.stderr:
            raise _foreign(url) from error
        if "does not appear to be a git repository" in error.stderr or "not found" in error.stderr:
            raise ConfigError(f"There is no git repository at {shown}.", f"Create it, or set {setting}.") from error
        if GIT_FINAL.search(error.stderr):
            raise AccessRefused(f"{what} at {shown} refused us: {_said(error)}.", _hint(error.stderr)) from error
        raise


def _said(error: CommandFailed) -> str:
    """What the host said, which stands before git's own last line; where it said nothing, that line."""
    lines = (line.removeprefix("remote:").strip() for line in error.stderr.splitlines() if line.startswith("remote:"))
    said = " ".join(line for line in lines if re.search(r"\w", line))
    return (said if len(said) <= LONGEST_SAID else said[:LONGEST_SAID] + " ...").rstrip(".") or error.message


def _hint(printed: str) -> str:
    if UNTRUSTED.search(printed):
        return "Name the CA's file in the variable GIT_SSL_CAINFO."
    if BRANCH_RULES.search(printed):
        return "We push to the branch and open no merge requests: let this account push to it, or name another branch."
    return "Mend the credentials."


def refuse_foreign(where: Path, url: str, env: Mapping[str, str]) -> None:
    """Where a remote seems to be empty: raise Unavailable unless it is a git server that says so.

    Over HTTP git takes a page of a single line, a proxy's for example, for a repository without branches.
    """
    if not url.startswith(("http://", "https://")):
        return
    with tempfile.TemporaryDirectory() as directory:
        packets = Path(directory) / "packets"
        git(where, "ls-remote", "--", address(url), env={**env, "GIT_TRACE_PACKET": str(packets)})
        if not packets.exists() or "packet:" not in packets.read_text(errors="replace"):
            raise _foreign(url)


def _foreign(url: str) -> Unavailable:
    return Unavailable(
        f"What answers at {without_user(url)} is no git server.", "Correct the URL, and look for proxies in between."
    )


def without_user(url: str) -> str:
    """The URL without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else url


def address(url: str) -> str:
    """What may stand in a command line or a file: no password, and of ssh the user, who is part of the address."""
    parts = urlsplit(url)
    clean, user = without_user(url), parts.username
    return clean.replace("://", f"://{user}@", 1) if user and parts.scheme.endswith("ssh") else clean


def author(settings: Section, date: datetime) -> dict[str, str]:
    """Environment that says whose a commit is, and of when: the same for the same arguments."""
    when = date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = {"NAME": settings.author_name, "EMAIL": settings.author_email, "DATE": when}
    return {f"GIT_{role}_{fact}": value for role in ("AUTHOR", "COMMITTER") for fact, value in facts.items()}


def host_of(url: str) -> tuple[str, str]:
    """Scheme and host:port, without a user: where credentials are good for."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def credentials(url: str, username: str = "", password: str = "") -> dict[str, str]:
    """Environment that lets git log in, at this URL only: with what is given, else with what the URL holds.

    Empty where nothing is known, and for ssh, whose agent knows: then the user's own credential helper may help.
    """
    parts = urlsplit(url)
    user = username or unquote(parts.username or "")
    secret = password or (unquote(parts.password) if parts.password is not None and not username else "")
    if parts.scheme not in ("http", "https") or not (user or secret):
        return {}
    if not secret:  # a credential helper knows the rest
        return _configured(f"credential.{without_user(url)}.username", user)
    pair = f"{user or 'git'}:{secret}".encode()
    header = f"Authorization: Basic {base64.b64encode(pair).decode()}"
    return _configured(f"http.{without_user(url)}.extraHeader", header)


def _configured(key: str, value: str) -> dict[str, str]:
    return {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": value}
