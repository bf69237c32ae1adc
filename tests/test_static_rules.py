"""The rules of this house find what they are for, and the code keeps them."""

import pytest

from tests.static_rules import CHECKS, WAIVERS, complaints, complaints_about

BAD = {
    "subprocess-deadline": [
        "subprocess.run(['x'])",
        "subprocess.Popen(['x'])",
        "subprocess.check_output(['x'], text=True)",
    ],
    "connect-timeout": ["sa.create_engine(url)", "create_engine(url, pool_size=1)", "psycopg2.connect(dsn)"],
    "request-timeout": ["requests.get(url)", "httpx.post(url, json={})", "urllib.request.urlopen(url)"],
    "yaml-load": ["yaml.load(text, Loader)", "yaml.unsafe_load(text)"],
    "manifest-as-data": ["f'apiVersion: v1\\nkind: {kind}'", "'''a: 1\nkind: {}\n'''.format(kind)"],
    "no-shell": ["run(['x'], shell=True)", "os.system('x')"],
    "bare-retry": ["from tenacity import retry", "import tenacity"],
    "address-not-branch": ["if tools.settings.kubernetes.embedded: pass", "x = 1 if section.embedded else 2"],
    "import-path": ["sys.path.insert(0, '.')"],
    "unchecked-certificates": ["session.get(url, timeout=1, verify=False)"],
    "waiver-with-reason": ["x = 1  # noqa: S105", "x = 1  # noqa: S105 ()"],
}
GOOD = [
    "subprocess.run(['x'], timeout=5)", "sa.create_engine(url, connect_args={'connect_timeout': 5})",
    "psycopg2.connect(dsn, connect_timeout=5)", "requests.get(url, timeout=5)", "yaml.safe_load(text)",
    "f'kind {kind} of it'", "run(['x'], shell=False)", "from common import retry", "if settings.uc1.as_of: pass",
    "x = 1  # noqa: S105 (the name of a Secret, not a secret)", "answers.get(key)",
]  # fmt: skip


def rules(source: str, file: str = "uc9_example/step.py") -> set[str]:
    return {each.rule for each in complaints_about(source, file)}


@pytest.mark.parametrize(("rule", "source"), [(rule, source) for rule, sources in BAD.items() for source in sources])
def test_a_rule_finds_what_it_is_for(rule: str, source: str) -> None:
    assert rule in rules(source)


@pytest.mark.parametrize("source", GOOD)
def test_what_is_right_is_left_alone(source: str) -> None:
    assert rules(source) == set()


def test_every_rule_has_an_example_of_what_it_refuses() -> None:
    assert set(CHECKS) | {"waiver-with-reason"} == set(BAD)


def test_the_code_keeps_the_rules_and_every_waiver_is_needed_and_has_its_reason() -> None:
    assert [str(each) for each in complaints()] == []
    assert all(len(reason) > 15 for reason in WAIVERS.values())
