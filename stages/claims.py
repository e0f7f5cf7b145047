"""Judge the claims of the thesis on every data set whose studies were run."""

from argparse import Namespace
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.settings import parse, pick, read_params
from lipnet.evaluation.comparison import CompareSettings
from lipnet.plots.claims import claims_picture
from lipnet.plots.figure import save
from lipnet.studies import claim_tables, claims, subsets
from lipnet.studies.claims import ClaimSettings, Judged
from lipnet.studies.study import StudySettings


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write every comparison of every claim as a table and a picture, and a report.

    The report has the claims, ordered subsets, and the comparisons.
    """
    settings = parse(ClaimSettings, read_params(arguments.claims), str(arguments.claims))
    confidence = parse(CompareSettings, pick(params, "compare"), "compare").confidence
    rows = pick(read_params(arguments.settings), "studies")
    studies = {name: parse(StudySettings, row, f"studies.{name}") for name, row in rows.items()}
    folds = {name: table for name in studies if (table := _folds(arguments, name)) is not None}
    judged = {name: Judged(table, studies[name].judged) for name, table in folds.items()}
    table = claims.judge(settings, judged, files.read_table(arguments.thesis), confidence)
    files.write_table(arguments.table, table)
    drawn = claim_tables.picture_rows(table, settings)
    save(claims_picture(drawn, claim_tables.OF_PICTURE, settings.margin, confidence), arguments.picture)
    of_subsets = [_of_subsets(folds[name], studies[name], confidence) for name in folds]
    parts = [
        claim_tables.summary_table(table, settings),
        *filter(None, of_subsets),
        "### Every comparison\n",
        claim_tables.details_table(table),
    ]
    files.write_text(arguments.report, "\n".join(parts))


def _folds(arguments: Namespace, study: str) -> pd.DataFrame | None:
    """The folds of a study on all data sets; None if it was not run."""
    paths = [folder / study / "per_fold.csv" for folder in (arguments.results, arguments.real)]
    tables = [files.read_table(path) for path in paths if path.exists()]
    return pd.concat(tables, ignore_index=True) if tables else None


def _of_subsets(folds: pd.DataFrame, study: StudySettings, confidence: float) -> str:
    """What the items of ordered subsets do, in words, for each problem whose arms can tell; "" for other studies."""
    if study.subsets is None:
        return ""
    parts = []
    for problem, part in folds.groupby("problem", sort=False):
        found = subsets.analyse(part, study.subsets, study.judged, confidence)
        if len(found.effects):
            parts.append(f"{problem}, {found.arms} subsets, {found.folds} folds:\n")
            parts.append(subsets.in_words(found, study.judged, confidence))
    return "\n".join([f"### {study.title}\n", subsets.reading(confidence), *parts]) if parts else ""


if __name__ == "__main__":
    run(__doc__, None, ["claims", "settings", "thesis", "results", "real", "table", "report", "picture"], main)
