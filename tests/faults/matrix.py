"""What a step does when a service is in trouble: the table that docs/reference/faults.md shows and the tests hold.

A cell is a step, a service that it touches and a fault: with which exit code the step ends, and after how many tries.
"""

from collections.abc import Iterator
from dataclasses import dataclass

FAULTS = {
    "refused": "nobody listens",
    "reset": "the connection is reset as soon as it is accepted",
    "black hole": "the connection is accepted, and no answer ever comes",
    "slow": "every answer comes late, but within the limits",
    "cut": "the connection is reset in the middle of the answer",
    "stall": "half of the answer comes, and no more",
    "500": "500, an error of the server",
    "503": "503, unavailable or slow down",
    "429": "429 with Retry-After: 1",
    "401": "401, the credentials are none",
    "403": "403, the credentials do not suffice",
    "404": "404: no such bucket, server, kind or repository",
    "409": "409: somebody else writes there",
    "200": "200 with a web page of somebody else's",
    "login": "28P01, the password is wrong",
    "missing": "3D000, no such database",
    "full": "53300, too many connections",
    "starting": "57P03, the server is starting up",
}
TRANSPORT = ("refused", "reset", "black hole", "slow", "cut", "stall")
BY_HTTP = (*TRANSPORT, "500", "503", "429", "401", "403", "404", "409", "200")
BY_SQL = (*TRANSPORT, "login", "missing", "full", "starting")
# Run each time for every step and service; the others go the way of one of these, or take their time, and are run each
# time for one step of each client. FAULTS=all runs every cell.
SLOW = ("black hole", "slow", "stall", "429")  # no cells but there
EACH_TIME = ("cut", "503", "401", "200", "login", "starting")
THOROUGH = {("uc1_01", "postgres"), ("uc1_01", "s3"), ("uc5_01", "mlflow"), ("uc2_01", "kubernetes"), ("uc6_01", "git"),
            ("uc4_02", "marquez")}  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """Exit code and tries of the call that fails; `why` where a service has a way of its own."""

    code: int
    tries: int
    why: str = ""


UNHARMED = Expected(0, 1)
UNAVAILABLE, ACCESS, CONFIG = 69, 77, 78
AWAY = Expected(UNAVAILABLE, 4)
USUAL = {
    **dict.fromkeys(BY_HTTP, AWAY), "slow": UNHARMED, "401": Expected(ACCESS, 1), "403": Expected(ACCESS, 1),
    "404": Expected(CONFIG, 1), "200": Expected(UNAVAILABLE, 1),
}  # fmt: skip
SERVICES = {
    "postgres": {
        **dict.fromkeys(BY_SQL, AWAY), "slow": UNHARMED, "login": Expected(ACCESS, 1), "missing": Expected(CONFIG, 1),
        "stall": Expected(UNAVAILABLE, 1, "a statement may take 60 s: one try is the whole time"),
    },
    "s3": USUAL,
    "mlflow": USUAL,
    "kubernetes": {
        **USUAL,
        "404": Expected(UNAVAILABLE, 1, "the kind is not served: its CRD may yet be installed"),
        "409": Expected(1, 4, "a lost race is run again on what the others wrote; who loses four is told so"),
    },
    "git": {**USUAL, "stall": Expected(UNAVAILABLE, 4, "fewer in the tests: curl judges by some seconds, unscaled"),
            "200": Expected(UNAVAILABLE, 2, "a repository that seems to be empty is looked at once more")},
    "marquez": {
        **USUAL,
        **dict.fromkeys(("500", "409"), Expected(UNAVAILABLE, 1, "an answer, if a bad one")),
        "404": Expected(UNAVAILABLE, 1, "a Marquez has what is asked, whatever it knows"),
    },
}  # fmt: skip
SHOWN = {"postgres": "PostgreSQL, Feast's registry and online store included", "s3": "S3", "mlflow": "MLflow",
         "kubernetes": "Kubernetes, KServe, Iter8 and Argo CD through it", "git": "git over HTTP",
         "marquez": "Marquez"}  # fmt: skip

# Services that a step touches, in the order of the columns of the page.
TOUCHED = {
    "uc1_01": ("postgres", "s3"),
    "uc1_02": ("s3", "git"),
    "uc1_03": ("s3",),
    "uc1_04": ("postgres", "s3"),
    "uc1_05": ("s3", "mlflow"),
    "uc1_06": ("s3", "mlflow", "kubernetes"),
    "uc2_01": ("s3", "mlflow", "kubernetes"),
    "uc2_02": ("s3", "kubernetes"),
    "uc2_03": ("s3", "kubernetes"),
    "uc3_01": ("s3", "mlflow"),
    "uc3_02": ("s3", "mlflow"),
    "uc4_01": ("marquez",),
    "uc4_02": ("s3", "mlflow", "marquez"),
    "uc5_01": ("s3", "mlflow"),
    "uc5_02": ("s3", "mlflow", "git"),
    "uc6_01": ("s3", "mlflow", "git"),
    "uc6_02": ("s3", "kubernetes", "git"),
}
# Where the audit trail's anchor is all that a step keeps there: nobody fails for that.
ONLY_WELCOME = {("uc2_02", "s3"), ("uc2_03", "s3"), ("uc3_02", "s3"), ("uc6_01", "s3")}
OTHERWISE = {
    **{(step, "s3", "404"): Expected(65, 1, "a HEAD is answered without a word: object or bucket")
       for step in ("uc1_02", "uc1_03", "uc1_04")},
    ("uc2_03", "kubernetes", "404"): Expected(1, 1, "no kind, no experiment: that is what is said"),
    **{("uc4_01", "marquez", fault): Expected(UNAVAILABLE, 3, "the sender of lineage has three tries of its own")
       for fault in BY_HTTP if fault != "slow"},
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One cell: `since` the nth request of the service it misbehaves."""

    step: str
    service: str
    fault: str
    expected: Expected
    since: int = 1


# Requests further on: the same client by another way. `since` counts an undisturbed run's requests by hand.
LATER = (
    Cell("uc1_01", "postgres", "stall", SERVICES["postgres"]["stall"], 4),  # the table as a stream
    Cell("uc1_01", "postgres", "cut", AWAY, 4),
    Cell("uc1_04", "postgres", "cut", AWAY, 4),  # Feast's registry
    Cell("uc1_04", "postgres", "login", Expected(ACCESS, 1), 4),
    Cell("uc1_04", "postgres", "cut", AWAY, 6),  # Feast's online store
)


def cells(step: str, service: str) -> Iterator[Cell]:
    """The cells of a step and a service, from the first request on and then those from later ones."""
    for fault, usual in SERVICES[service].items():
        if fault in SLOW and (step, service) not in THOROUGH:
            continue
        expected = OTHERWISE.get((step, service, fault), usual)
        if (step, service) in ONLY_WELCOME:
            expected = Expected(0, expected.tries, "only the audit trail's anchor is kept there")
        yield Cell(step, service, fault, expected)
    yield from (cell for cell in LATER if (cell.step, cell.service) == (step, service))


def every_cell() -> list[Cell]:
    """All of them."""
    return [cell for step, services in TOUCHED.items() for service in services for cell in cells(step, service)]


def is_run_each_time(cell: Cell) -> bool:
    """Or only with FAULTS=all."""
    return cell.fault in EACH_TIME or (cell.step, cell.service) in THOROUGH or cell in LATER
