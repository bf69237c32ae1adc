"""Shows the fault matrix that the tests hold: docs/reference/faults.md, written by docs/generate.py."""

from common.git_command import CURL_SECONDS
from common.paths import ROOT
from common.patience import ANSWER_SECONDS, CONNECT_SECONDS
from common.retry import SECONDS, TRIES
from tests.faults.matrix import (
    EACH_TIME,
    FAULTS,
    LATER,
    ONLY_WELCOME,
    OTHERWISE,
    SERVICES,
    SHOWN,
    THOROUGH,
    TOUCHED,
    Expected,
    cells,
    every_cell,
    is_run_each_time,
)

NAMES = {path.stem[:6]: path.stem for path in ROOT.glob("uc?_*/uc?_0*.py")}


def faults_page(written: str) -> str:
    """The page."""
    return f"""# What happens when a service is in trouble

{written}

{len(every_cell())} cells: a step, a service that it touches, and a fault. `make test-deep` runs {_each_time()} of them,
`FAULTS=all make test-deep` all. A proxy stands before every service and misbehaves from the service's first request
on (or a later one, where the last table says so);
the step runs through its own script to its own exit code. The tests ({_link("tests/faults")}, `make test-deep`)
hold for each cell:

- **the exit code and the tries** of the tables below ([exit codes](exit-codes.md): 69 unavailable, 77 no access, 78
  configuration); how often it was tried is read from the proxy and from the log of waits, never assumed;
- **one sentence** that names the address of the service (or, with exit 1, the object) and says what to do; no
  traceback, no exit 70, no secret;
- **it ends**: {TRIES} tries within {SECONDS:.0f} s. An attempt waits {CONNECT_SECONDS:g} s for a connection and
  {ANSWER_SECONDS:g} s for an answer (`common/patience.py`), so that four fit; git over HTTP waits
  {ANSWER_SECONDS - CURL_SECONDS:g} s, and in the middle of an answer takes {CURL_SECONDS} s more to notice. The tests
  run with a tenth of all of these (`MLOPS_RETRY_SECONDS`, `MLOPS_TIMEOUT_SCALE`), and kill what does not end.
  `Retry-After` is waited for, where the next try still falls into the {SECONDS:.0f} s. After a failure the run may take
  10 s more, for the audit trail's anchor;
- **nothing is left behind**: versions and aliases in the registry, objects in S3, commits of the data and deployments
  repositories, the service, experiments and the Application in Kubernetes are before and after the cells of a step and
  a service the same, and the ledger has no new result of the step;
- **a plain run afterwards** ends with exit 0 and leaves the same world.

## By service

Exit code, and tries of the call that fails; `-` where it does not apply, or no step is tested with it.

{_by_service()}
{_once()}

PostgreSQL speaks no HTTP, so the faults of HTTP do not apply to it: its own refusals stand in their place. Repositories
of `file://` have no network between them and us, and no row here; those of ssh have git's own words for the same.
An S3 request is signed with the host that it was sent to: here the proxy's address is the endpoint of the settings, as
it would be with a real proxy. Argo CD and Iter8 are reached through the Kubernetes API. What trains, Kubeflow's local
runner, is a child process with the same clients; the cells of UC1's step 5 strike before it starts.

## By step

Cells of each step and service. All of them strike from the first request on.

{_by_step()}
Marquez is only welcome where lineage is not what the step is about, and nobody fails for it:
`tests/uc4/test_welcome.py`.

## Where it is otherwise

{_otherwise()}
## From a later request on

The same service by another client's way: a table's stream, Feast's registry and online store, Arrow's own S3 client.

| step | service | from its request | fault | exit | tries | |
|---|---|---|---|---|---|---|
{_later()}

## What is not in the matrix

- Steps that wait for others: UC2's step 3 while it watches an experiment, UC3's while they send customers and train.
  Their cells strike what a repeated run asks. `tests/uc2` holds what the watch does when metrics are missing, and
  when it is killed ([the canary](../how-to/canary.md)), `tests/uc3` what a training that fails leaves.
- A stream of rows that goes silent before its first row waits as long as a statement may, 600 s: a query that sorts a
  large table looks the same. From the first row on, 60 s of silence end it.
- TLS and name resolution that fail, and answers whose bytes are changed on the way: `tests/data` and `tests/contract`.
"""


def _link(path: str) -> str:
    return f"[{path}](../../{path})"


def _each_time() -> int:
    return sum(map(is_run_each_time, every_cell()))


def _once() -> str:
    places = ", ".join(f"{NAMES[step]} with {service}" for step, service in sorted(THOROUGH))
    return (
        f"Run each time for every step and service: {', '.join(EACH_TIME)}.\nThe others take their time, or go "
        f"the way of one of these, and are run each time for one step of each service:\n{places}."
    )


def _by_service() -> str:
    columns = list(SERVICES)
    lines = [f"| fault | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    run = {(cell.service, cell.fault) for cell in every_cell() if cell.since == 1}
    for fault, meaning in FAULTS.items():
        found = [SERVICES[service][fault] if (service, fault) in run else None for service in columns]
        lines.append(f"| {meaning} | {' | '.join(_shown(each) for each in found)} |")
    named = f"The columns are {'; '.join(SHOWN.values())}.\n"
    whys = sorted({f"- {service}, *{fault}*: {each.why}." for service, faults in SERVICES.items()
                   for fault, each in faults.items() if each.why and (service, fault) in run})  # fmt: skip
    return "\n".join([*lines, "", named, *whys, ""])


def _shown(expected: Expected | None) -> str:
    if expected is None:
        return "-"
    if expected.code == 0:
        return "0"
    return f"{expected.code}, {expected.tries} {'try' if expected.tries == 1 else 'tries'}"


def _by_step() -> str:
    columns = list(SERVICES)
    lines = [f"| step | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for step, services in TOUCHED.items():
        counts = [_count(step, service, service in services) for service in columns]
        lines.append(f"| {NAMES[step]} | {' | '.join(counts)} |")
    return "\n".join([*lines, ""])


def _count(step: str, service: str, is_touched: bool) -> str:
    return str(sum(cell.since == 1 for cell in cells(step, service))) if is_touched else ""


def _otherwise() -> str:
    found: dict[tuple[str, str, str, int], list[str]] = {}
    for (step, service, fault), each in OTHERWISE.items():
        found.setdefault((step, service, each.why, each.code), []).append(fault)
    lines = [f"- {NAMES[step]}, {service}, {_named(service, faults)}: {why}; exit {code}."
             for (step, service, why, code), faults in sorted(found.items())]  # fmt: skip
    lines += [f"- {NAMES[step]}, {service}: only the audit trail's anchor is kept there; exit 0, and a warning."
              for step, service in sorted(ONLY_WELCOME)]  # fmt: skip
    return "\n".join([*lines, ""])


def _named(service: str, faults: list[str]) -> str:
    others = [fault for fault in SERVICES[service] if fault not in faults]
    return f"*{', '.join(faults)}*" if len(faults) < len(others) else f"all but *{', '.join(others)}*"


def _later() -> str:
    return "\n".join(
        f"| {NAMES[c.step]} | {c.service} | {c.since} | {c.fault} | {c.expected.code} | {c.expected.tries} "
        f"| {c.expected.why} |"
        for c in LATER
    )
