"""How the report, and a line on the terminal, show UC3's results."""

from typing import TYPE_CHECKING

from churn.findings import noise_floor
from common.step import Section, Table

if TYPE_CHECKING:
    from churn.findings import ColumnDrift
    from uc3_drift_retraining.results import DriftReport, Population, Retraining

COLUMNS = ("drifted", "column", "decided by", "score", "limit", "PSI", "KL", "JS", "test", "p", "finding")
SHORT = {"psi": "PSI", "kl_divergence": "KL", "kolmogorov-smirnov": "KS", "chi-square": "chi²",
         "chi-square of nulls": "chi² of nulls"}  # fmt: skip
POPULATIONS = ("customers", "rows", "version", "metric", "old model", "new model", "change", "95 % interval")


def drift_line(found: "DriftReport") -> str:
    """One line: how many rows, which columns moved."""
    if not found.window:
        return f"{found.waiting_rows:,} new requests; {found.needed_rows:,} are needed to look at them"
    counted = [column for column in found.columns if column.finding != "is new"]
    moved = ", ".join(f"{column.name} {_score(column)}" for column in found.drifted) or "none"
    again = ", examined before" if found.repeated else ""
    return (
        f"{found.rows:,} rows{again}: {len(found.drifted)} of {len(counted)} columns drifted "
        f"({found.share:.0%}, allowed {found.threshold:.0%}): {moved}"
    )


def drift(found: "DriftReport") -> tuple[Section, ...]:
    """Verdict and columns; where Evidently drew a page, a link to it."""
    if not found.window:
        return (Section(title="Drift", text=f"{drift_line(found)}.", facts=(("champion", f"v{found.champion}"),)),)
    ordered = sorted(found.columns, key=lambda column: (not column.drifted, column.name))
    table = Table(columns=COLUMNS, rows=tuple(_column(column) for column in ordered))
    verdict = "Drift" if found.has_drifted else "No drift"
    pages = (("Evidently's report, as a page of its own", found.page),) if found.page else ()
    title = f"{verdict}: {found.share:.0%} of the columns have moved, {found.threshold:.0%} may"
    return (Section(title=title, facts=_facts(found), table=table, pages=pages),)


def _facts(found: "DriftReport") -> tuple[tuple[str, str], ...]:
    facts = [
        ("reference", f"{found.reference_rows:,} rows that v{found.champion} learned from: {found.reference}"),
        ("current", f"{found.rows:,} rows of {found.current}"), ("window", found.window),
        ("rule", "moved by size (PSI or KL above its limit) and not by chance (p below its limit); " + found.rules),
    ]  # fmt: skip
    if found.page:
        floor = noise_floor(min(found.page_rows, found.rows), min(found.page_rows, found.reference_rows))
        sampled = (
            f"drawn from at most {found.page_rows:,} rows of each side; PSI of such samples is {floor:.4f} by chance"
        )
        facts.append(("Evidently", sampled))
    optional = (
        ("replayed", found.replayed), ("before that", found.before_replay), ("kept at", found.uri),
        ("stream changed (ADWIN)", "; ".join(found.changes)), ("late labels", _performance(found)),
    )  # fmt: skip
    return (*facts, *((name, said) for name, said in optional if said))


def _performance(found: "DriftReport") -> str:
    seen = found.performance
    if seen is None:
        return ""
    word = "worse" if seen.is_worse else "better" if seen.is_better else "no other, as far as can be told"
    return (
        f"{seen.metric} {seen.after:.3f} on {seen.rows:,} rows, {seen.before:.3f} on the hold-out: {word} "
        f"({seen.low:+.3f} to {seen.high:+.3f})"
    )


def _column(column: "ColumnDrift") -> tuple[str, ...]:
    numbers = (_number(column.psi), _number(column.kl), _number(column.js))
    tested = "-" if column.statistic is None else f"{SHORT[column.test]} {column.statistic:.3g}"
    return (
        "YES" if column.drifted else "no", column.name, SHORT.get(column.method, column.method), _number(column.score),
        "-" if column.threshold is None else f"{column.threshold:g}", *numbers, tested,
        "-" if column.p_value is None else f"{column.p_value:.2g}", column.finding,
    )  # fmt: skip


def retraining_line(made: "Retraining") -> str:
    """One line: what was made and how much better it is, or why nothing was."""
    if not made.versions:
        return made.decision
    names = ", ".join(f"v{version} {state}" for version, state in zip(made.versions, made.states, strict=True))
    moved = [each for each in made.populations if each.version == made.candidate][:1]
    better = "; ".join(
        f"{each.change.metric} on customers {each.name} {each.change.before:.3f} -> {each.change.after:.3f}"
        for each in moved
    )
    return f"{made.decision}: {names}" + (f"; {better}" if better else "")


def retraining(made: "Retraining") -> tuple[Section, ...]:
    """The decision, what was trained on what, and both models on the hold-out."""
    facts = [("decision", made.decision), ("window", made.window), ("drift report", made.report)]
    if made.versions:
        facts += [
            ("versions", ", ".join(f"v{v} ({s})" for v, s in zip(made.versions, made.states, strict=True))),
            ("candidate for UC2", f"v{made.candidate}" if made.candidate else "none"),
            ("fresh snapshot", f"{made.rows:,} rows of {', '.join(made.tables)}: {made.snapshot}"),
            ("pipeline", made.pipeline),
        ]  # fmt: skip
    shown = (Section(title="Retraining", facts=tuple((name, said) for name, said in facts if said)),)
    if not made.populations:
        return shown
    rows = tuple(_population(each, made.old) for each in made.populations)
    title = f"The new models beside the old one (v{made.old}), on the hold-out"
    return (*shown, Section(title=title, table=Table(columns=POPULATIONS, rows=rows)))


def _population(each: "Population", old: str) -> tuple[str, ...]:
    change = each.change
    return (each.name, f"{change.rows:,}", f"v{each.version} beside v{old}", change.metric, f"{change.before:.4f}",
            f"{change.after:.4f}", f"{change.change:+.4f}", f"{change.low:+.4f} to {change.high:+.4f}")  # fmt: skip


def _score(column: "ColumnDrift") -> str:
    return column.finding if column.score is None else f"{SHORT[column.method]} {column.score:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
