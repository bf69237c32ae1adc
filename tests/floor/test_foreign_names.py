"""What comes from elsewhere and would go into manifests, commits or commands is a name, or it is refused."""

import pytest
from pydantic import ValidationError

from common import names
from common.errors import ExitCode
from common.names import BadName
from common.settings_uc6 import Uc6

BAD = (
    "", "../etc", "%2e%2e", "..\\up", "$(id)", "a;b", "--upload-pack=x", "-x", "a\nb", "a\n", "a\0b", "\u0430dmin", "A",
    "a" * 64, "a b", "a/b", "a.b", "`id`", "a|b", "a'b", "{{a}}", "a\tb", "\u2028",
)  # fmt: skip


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_rfc_1123_label_is_refused_and_shown_escaped(value: str) -> None:
    with pytest.raises(BadName) as refused:
        names.dns_label(value, "The namespace")
    assert refused.value.exit_code == ExitCode.BAD_DATA
    assert "\n" not in refused.value.message
    with pytest.raises(ValidationError):
        Uc6(namespaces={"production": value})
    with pytest.raises(ValidationError):
        Uc6(namespaces={value: "models-production"}, to=value)


@pytest.mark.parametrize("value", ["a", "models-production", "0a", "a" * 63])
def test_a_label_is_taken_as_it_is(value: str) -> None:
    assert names.dns_label(value, "The namespace") == value


@pytest.mark.parametrize(
    "value", ["Ada\nModel-Digest: 0", "", " ada", "ada <a@b>", "a" * 101, "--approve", "ada\x1b[31m"]
)
def test_an_approver_cannot_add_a_trailer_or_an_option(value: str) -> None:
    with pytest.raises(BadName):
        names.person(value, "The approver")
    if value:
        with pytest.raises(ValidationError):
            Uc6(approve=value)


@pytest.mark.parametrize("value", ["Ada Lovelace", "ada@example.com", "Zo\u00eb O'Neil", "ada"])
def test_an_approver_has_the_name_that_people_have(value: str) -> None:
    assert names.person(value, "The approver") == value


@pytest.mark.parametrize("value", ["HEAD", "main", "--all", "0123", "g" * 40, "0123456789\n", "abc1234^"])
def test_a_commit_is_a_hash_and_no_expression(value: str) -> None:
    with pytest.raises(BadName):
        names.commit(value, "The commit")


def test_a_line_of_a_trailer_has_no_control_characters() -> None:
    for value in ("a\nb", "a\rb", "a\0", "a\u2028b", "\x1b[0m", ""):
        with pytest.raises(BadName):
            names.line(value, "Model-Name")


def test_an_environment_without_a_namespace_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"uc6.to is 'prod'"):
        Uc6(to="prod")
