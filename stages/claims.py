"""Judge the claims of the thesis on every data set whose studies were run."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import run
from lipnet.core.settings import parse, pick, read_params
from lipnet.evaluation.comparison import CompareSettings
from lipnet.studies import claims
from lipnet.studies.claims import ClaimSettings, Judged
from lipnet.studies.study import StudySettings


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write a table of every comparison of every claim, and a report: the claims, then the comparisons."""
    settings = parse(ClaimSettings, read_params(arguments.claims), str(arguments.claims))
    confidence = parse(CompareSettings, pick(params, "compare"), "compare").confidence
    own = read_params(arguments.settings)
    studies = {}
    for name in dict.fromkeys(claim.study for claim in settings.claims.values()):
        study = parse(StudySettings, pick(own, "studies", name), f"studies.{name}")
        tables = [files.read_table(path) for path in _tables(arguments, name)]
        if tables:
            studies[name] = Judged(pd.concat(tables, ignore_index=True), study.judged)
    table = claims.judge(settings, studies, files.read_table(arguments.thesis), confidence)
    files.write_table(arguments.table, table)
    parts = [claims.summary_table(table, settings), "### Every comparison\n", claims.details_table(table)]
    files.write_text(arguments.report, "\n".join(parts))


def _tables(arguments: Namespace, study: str) -> list[Path]:
    paths = [folder / study / "per_fold.csv" for folder in (arguments.results, arguments.real)]
    return [path for path in paths if path.exists()]


if __name__ == "__main__":
    run(__doc__, None, ["claims", "settings", "thesis", "results", "real", "table", "report"], main)
