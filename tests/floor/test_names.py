"""Names and addresses: what passes is what Kubernetes, S3 and git take; a corpus of injections does not pass."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from common import names, uris
from common.errors import ExitCode
from common.git_command import git
from common.names import BadName
from common.uris import S3Uri

MANY = examples(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "100")), deadline=None)
INJECTIONS = [
    "", " ", "-rf", "--upload-pack=touch /tmp/x", "$(touch /tmp/x)", "`id`", "a;b", "a|b", "a&b", "a>b", "a\nb",
    "a\x00b",
    "a'b", 'a"b', "a\\b", "../x", "a/../b", "/etc/passwd", "{{ x }}", "${x}", "%2e%2e", "a: b", "- a",
    "<script>", "!!x",
    "'; DROP TABLE customers; --", "A", "ä", "a" * 300, "a\tb", "a\u202eb", "x@{1}", "a..b", "a~1", "a^", "a:b", "a?b",
    "a*",
]  # fmt: skip
CHECKS: list[Callable[[str], str]] = [names.dns_label, names.dns_subdomain, names.bucket, names.digest, names.commit]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("text", INJECTIONS)
def test_no_injection_is_a_name(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(BadName) as refused:
        check(text)
    assert refused.value.exit_code == ExitCode.BAD_DATA
    assert len(refused.value.message) < 250
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("text", [each for each in INJECTIONS if each != "A"])
def test_no_injection_is_a_model_name_or_a_uri_of_ours(text: str) -> None:
    with pytest.raises(BadName):
        names.model_name(text)
    with pytest.raises(BadName):
        uris.s3_uri(text, {"mlops"})


@pytest.mark.parametrize(
    "uri",
    [
        "s3://other/key", "s3://user:password@mlops/key", "s3://mlops@evil/key", "s3://mlops", "s3://mlops/",
        "http://mlops/key",
        "S3://mlops/key", "s3:///key", "s3://mlops/../other/key", "s3://mlops/a/./b", "s3://mlops//key", "s3://mlops/a//b",
        "s3://mlops/key?versionId=1", "s3://mlops/key#x", "s3://mlops/a%2f..%2fb", "s3://mlops/a\\b",
        "s3://mlops:9000/key",
        "s3://mlops/" + "k" * 1025, "file:///etc/passwd", "gs://mlops/key", "s3://mlops/a\nb", "s3://mlops.evil.com/key",
    ],
)  # fmt: skip
def test_a_uri_outside_our_buckets_or_with_anything_odd_is_refused_and_tells_no_password(uri: str) -> None:
    with pytest.raises(BadName) as refused:
        uris.s3_uri(uri, {"mlops", "mlflow"})
    assert "password" not in refused.value.message


def test_a_uri_of_ours_is_bucket_and_key() -> None:
    assert uris.s3_uri("s3://mlops/models/churn/ab12/", {"mlops"}) == S3Uri("mlops", "models/churn/ab12/")


@MANY
@given(st.text(max_size=70) | st.text(alphabet="abz09-.", max_size=70))
def test_a_dns_label_is_exactly_what_rfc_1123_says(text: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    wanted = 1 <= len(text) <= 63 and set(text) <= allowed and text[0] != "-" and text[-1] != "-"
    try:
        assert names.dns_label(text) == text
    except BadName:
        assert not wanted
    else:
        assert wanted


@MANY
@given(st.text(max_size=30) | st.from_regex(r"s3://mlops/[a-z./?#%@:\\ ]{0,20}", fullmatch=True))
def test_a_uri_that_passes_means_the_same_object_to_everyone(text: str) -> None:
    from urllib.parse import urlsplit

    try:
        found = uris.s3_uri(text, {"mlops"})
    except BadName:
        return
    parts = urlsplit(text)
    assert (parts.scheme, parts.netloc, parts.path, parts.query, parts.fragment) == (
        "s3",
        "mlops",
        f"/{found.key}",
        "",
        "",
    )
    assert str(found) == text
    assert not {"..", "."} & set(found.key.split("/"))


@MANY
@given(
    st.text(max_size=30) | st.from_regex(r"(s3|gs|S3|file)://[a-z.@:]{0,8}/[A-Za-z0-9./%?# -]{0,20}", fullmatch=True)
)
def test_the_address_of_a_model_that_passes_is_one_folder_of_ours(text: str) -> None:
    from urllib.parse import unquote, urlsplit

    address = f"{text.rstrip('/')}/{'a' * 64}"
    try:
        uris.model_uri(address, "a" * 64, ("s3",), ("mlops", "lake"))
    except BadName:
        return
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc in ("mlops", "lake"), parts.query + parts.fragment) == ("s3", True, "")
    assert unquote(address) == address
    assert ".." not in address


@MANY
@given(st.text(max_size=30) | st.text(alphabet="sh3ext:/@-ab. \n%[]", max_size=25))
def test_the_address_of_a_repository_that_passes_is_no_option_and_no_command(text: str) -> None:
    try:
        uris.git_url(text)
    except BadName:
        return
    assert not text.startswith("-")
    assert "::" not in text
    assert text.isprintable()
    assert "://" not in text or text.partition("://")[0] in uris.GIT_SCHEMES


@MANY
@given(st.text(max_size=40) | st.text(alphabet="ab/.-@{~^ ", max_size=12))
def test_a_branch_that_passes_is_safe_in_an_argument(text: str) -> None:
    try:
        names.branch(text)
    except BadName:
        return
    assert not text.startswith("-")
    assert not re.search(r"[\s~^:?*\[\\\x00-\x1f]|\.\.", text)


CANDIDATES = [
    "main",
    "feature/x",
    "a.b",
    "a..b",
    "a.lock",
    "a/.b",
    "/a",
    "a/",
    "a//b",
    "-a",
    "@",
    "a@{b",
    "a b",
    "a~",
    "é",
    "a.",
]


@pytest.mark.parametrize("text", CANDIDATES)
def test_what_passes_as_a_branch_git_takes_as_one(text: str, tmp_path: Path) -> None:
    said = subprocess.run(
        ["git", "check-ref-format", f"refs/heads/{text}"], cwd=tmp_path, capture_output=True, timeout=20, check=False
    )
    try:
        names.branch(text)
    except BadName:
        assert said.returncode != 0 or text in ("-a", "@"), (
            "only what would be an option or an alias is refused beyond git"
        )
    else:
        assert said.returncode == 0


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://git.example.com/a.git", True), ("ssh://git@host/a.git", True), ("git@host:team/a.git", True),
        ("file:///srv/a.git", True), ("/srv/a.git", True), ("ext::sh -c touch% /tmp/x", False),
        ("-oProxyCommand=x", False),
        ("ssh://-oProxyCommand=x/a", False), ("--upload-pack=x", False), ("fd::17", False), ("git@-host:x", False),
        ("ftp://host/x", False), ("https://host/a b", False), ("", False), ("javascript://x", False),
    ],
)  # fmt: skip
def test_an_address_of_a_repository_runs_nothing(url: str, good: bool, tmp_path: Path) -> None:
    if good:
        assert uris.git_url(url) == url
    else:
        with pytest.raises(BadName):
            uris.git_url(url)
    assert git(tmp_path, "--version").startswith("git version")
