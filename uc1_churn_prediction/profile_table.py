"""Propose the configuration of UC1 for a table: what each column is, and why, as YAML that can be used as it is.

Reads    the table (or query) from PostgreSQL, all rows, in bounded memory
Writes   nothing but stdout:  python -m uc1_churn_prediction.profile_table TABLE > mine.yaml
Raises   InvalidData (exit 65) for a table that is missing, empty, or has nothing to learn from

Use it:  python uc1_churn_prediction/run_pipeline.py --config mine.yaml
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from common.terminal import speak_utf8

if TYPE_CHECKING:
    from churn.proposal import Proposal
    from common.postgres import Source


def main() -> NoReturn:
    """Propose, or say in one sentence why not."""
    speak_utf8()
    options = _parser().parse_args()
    from common import logger
    from common.failures import explain

    logger.configure(-1)
    try:
        print(_proposed(options))
        sys.exit(0)
    except (Exception, KeyboardInterrupt) as error:  # where the process ends, every error becomes a sentence
        failure = explain(error)
        sys.stderr.write("\n".join(line for line in (failure.cause, failure.hint) if line) + "\n")
        sys.exit(int(failure.code))


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m uc1_churn_prediction.profile_table", description=__doc__,
                                     formatter_class=raw)  # fmt: skip
    parser.add_argument("table", nargs="?", help="a table, or schema.table")
    parser.add_argument("--query", metavar="SELECT", help="a SELECT in place of a table")
    parser.add_argument("--label", metavar="COLUMN", help="the column to predict, where the guess is wrong")
    parser.add_argument("--entity", metavar="COLUMN", help="the column that identifies a row, likewise")
    parser.add_argument("--config", metavar="FILE", help="where the database is, if not in config.yaml")
    return parser


def _proposed(options: argparse.Namespace) -> str:
    from common.errors import InvalidData, UsageError
    from common.postgres import Source

    if bool(options.table) == bool(options.query):
        raise UsageError("Name a table, or give a --query: one of the two.")
    source = Source(options.table, options.query)
    from churn.customers import UnfitForTraining
    from churn.proposal import propose

    facts = _facts(source, Path(options.config) if options.config else None)
    for flag, name in (("--label", options.label), ("--entity", options.entity)):
        if name and name not in {each.name for each in facts}:
            raise InvalidData(f"{source} has no column {name}, which {flag} names.",
                              f"It has: {', '.join(each.name for each in facts[:30])}.")  # fmt: skip
    try:
        return as_yaml(source, propose(facts, label=options.label, entity=options.entity), facts[0].rows)
    except UnfitForTraining as error:
        raise InvalidData(str(error), "Look at the table's columns.") from None


def _facts(source: "Source", config: Path | None) -> Any:
    from common import platform
    from common.config import load_settings
    from common.extract import Wanted
    from common.extract import run as extract
    from common.paths import state_dir
    from common.postgres import Postgres
    from common.publish import scratch
    from uc1_churn_prediction.measured import measure

    settings = load_settings(config_file=config)
    if platform.ensure_up(settings, {"postgres"}, no_start=False):
        settings = load_settings(config_file=config)
    with scratch(state_dir() / "cache" / "profile") as directory:
        found = extract(Postgres(settings.postgres), Wanted(source), directory / "table.parquet")
        return measure(found.path)


def as_yaml(source: "Source", proposal: "Proposal", rows: int) -> str:
    """The proposal as a configuration file: every line with its reason beside it."""
    name, why, features = _short_name(source), proposal.why, proposal.columns
    lines = [
        f"# Proposed for {source} ({rows:,} rows). Read it before you use it: a guess has its reason beside it.",
        "uc1:",
        f"  query: {_text(source.query)}" if source.query else f"  table: {_text(source.table)}",
        f"  raw_data_path: raw/{name}.parquet",
        f"  model_name: {name}-predictor",
        _line("entity", proposal.entity, why), _line("label", proposal.label, why),
        _line("positive_label", proposal.positive_label, why), _line("event_time", proposal.event_time, why),
        *_listed("numeric", features.numeric, why), *_listed("categorical", features.categorical, why),
        *_mapped("  ", "ordered", proposal.ordered), *_listed("sensitive", proposal.sensitive, {}),
        *_listed("dropped", proposal.dropped, why), "  expectations:",
        f"    required: {_text([n for n in (proposal.entity, proposal.label, proposal.event_time) if n])}",
        *_mapped("    ", "ranges", {n: list(r) for n, r in proposal.ranges.items() if r != (None, None)}),
        *_mapped("    ", "sets", proposal.sets),
    ]  # fmt: skip
    return "\n".join(lines)


def _line(key: str, value: Any, why: dict[str, str]) -> str:
    reason = why.get(key, "as you said")
    return f"  {key}: {_text(value)}" + f"  # {_comment(reason)}"


def _listed(key: str, names: tuple[str, ...], why: dict[str, str]) -> list[str]:
    if not names:
        return [f"  {key}: []"]
    return [f"  {key}:", *(f"    - {_text(n)}" + (f"  # {_comment(why[n])}" if n in why else "") for n in names)]


def _mapped(indent: str, key: str, values: dict[str, Any]) -> list[str]:
    if not values:
        return [f"{indent}{key}: {{}}"]
    return [f"{indent}{key}:", *(f"{indent}  {_text(name)}: {_text(value)}" for name, value in values.items())]


def _text(value: Any) -> str:
    """JSON is YAML, and quotes what YAML would take for something else."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


_YAML_WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


def _comment(text: str) -> str:
    return " ".join(text.split())


def _short_name(source: "Source") -> str:
    """A name for the model and its files: lower case letters, digits and hyphens, as Kubernetes wants it."""
    from common.keys import digest_of

    said = source.table or "query"
    name = re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")[:30].strip("-")
    plain = name and name[0].isalpha() and source.table
    return name if plain else f"table-{digest_of([said, source.query])[:8]}"


if __name__ == "__main__":
    main()
