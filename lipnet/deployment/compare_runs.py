"""Compare two runs of the pipeline on the same folds: whether the second is better, and by how much.

A few measures are compared, which do not depend on the results. Each difference is tested fold by fold
(``evaluation.comparison``), if the folds of both runs are the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lipnet.core.settings import parse, pick
from lipnet.deployment.revisions import RunResults
from lipnet.evaluation import score_tables
from lipnet.evaluation.comparison import CompareSettings, Difference, corrected_t_test, holm
from lipnet.evaluation.formatting import markdown_table, mean_with_sd
from lipnet.evaluation.measures import LOWER_IS_BETTER, words
from lipnet.evaluation.metrics import mean_sd

MOST_ROWS = 10
OF_PROBLEM = (  # of the network (True) or of the baseline; with many problems, the first ones only
    *((True, measure) for measure in score_tables.OF_NETWORK),
    (False, "macro_f1"),
)
COLUMNS = ("", "problem", "classifier", "measure", "first", "second", "change", "interval", "p (Holm)", "verdict")
LEGEND = (
    "▲ ▼: the mean is better or worse than that of the first run; whether this is shown is in the last column. A log "
    "loss is better if it is lower. Each mean has its standard deviation over folds."
)
MOST_STALE = 3  # changes that are named
SAME = 1e-9  # smaller differences are rounding
ARTIFICIAL = "The particles are artificial: the result says nothing about real particles."


class Row(NamedTuple):
    """One measure of one classifier in both runs.

    Attributes:
        problem: name of the problem.
        classifiers: name in the first and in the second run.
        measure: name of the measure, which is overall.
        first: mean and standard deviation over folds.
        second: the same in the second run.
        test: second minus first, with interval and p; NaN where not tested.
        left_out: number of folds that the test leaves out, because the measure is undefined there in one of the runs.
        p_holm: p after Holm's correction over all rows that changed; NaN where not tested.
        verdict: better, worse, no difference shown, unchanged, or not tested.
    """

    problem: str
    classifiers: tuple[str, str]
    measure: str
    first: tuple[float, float]
    second: tuple[float, float]
    test: Difference
    left_out: int = 0
    p_holm: float = np.nan
    verdict: str = "not tested"

    @property
    def improvement(self) -> float:
        """The change, positive if the second run is better."""
        return -self.test.mean if self.measure in LOWER_IS_BETTER else self.test.mean

    @property
    def spreads(self) -> float:
        """Size of the change in units of the larger standard deviation over folds; NaN if undefined."""
        spread = float(np.fmax(self.first[1], self.second[1]))
        return abs(self.test.mean) / spread if spread > 0 else np.nan

    @property
    def classifier(self) -> str:
        """Name of the classifier, or both names."""
        return " → ".join(dict.fromkeys(self.classifiers))

    def interval(self) -> str:
        """Interval of the change, empty if there is none."""
        return f"{self.test.low:+.3f} to {self.test.high:+.3f}" if np.isfinite(self.test.low) else ""

    def cells(self) -> list[str]:
        """Cells of a table with ``COLUMNS``."""
        known = np.isfinite(self.test.mean) and self.verdict != "unchanged"
        tested = np.isfinite(self.p_holm)
        return [
            (("▲" if self.improvement > 0 else "▼") if known else ""),
            *(self.problem, self.classifier, words(self.measure)),
            *(mean_with_sd(*self.first), mean_with_sd(*self.second)),
            f"{self.test.mean:+.3f}" if known else "",
            self.interval() if known else "",
            f"{self.p_holm:.3f}" if tested else "",
            self.verdict + (f" (undefined folds left out: {self.left_out})" if tested and self.left_out else ""),
        ]


@dataclass(frozen=True)
class RunComparison:
    """Two runs side by side.

    Attributes:
        names: of the first and the second run.
        verdict: one sentence.
        notes: further sentences.
        rows: at most ``MOST_ROWS``.
        params: parameters that differ: file, dotted key, first, second.
        confidence: level of the intervals.
    """

    names: tuple[str, str]
    verdict: str
    notes: list[str]
    rows: list[Row]
    params: list[tuple[str, str, str, str]]
    confidence: float

    def header(self) -> list[str]:
        """``COLUMNS`` with the names of the runs and the level of the intervals."""
        named = {"first": self.names[0], "second": self.names[1], "interval": f"{self.confidence:.0%} interval"}
        return [named.get(name, name) for name in COLUMNS]


def compare(first: RunResults, second: RunResults) -> RunComparison:
    """Compare two runs.

    The settings ``evaluate`` (which classifiers) and ``compare`` (level of the intervals) are those of the second run.
    If it is older than ``evaluate.headline``, those of the first are used.

    Raises:
        InputError: settings are missing or wrong, or a run did not evaluate the classifiers that they name.
    """
    params = next((run for run in (second, first) if "headline" in pick(run.params["params.yaml"], "evaluate")), second)
    evaluate = parse(score_tables.EvaluateSettings, pick(params.params["params.yaml"], "evaluate"), "evaluate")
    settings = parse(CompareSettings, pick(params.params["params.yaml"], "compare"), "compare")
    common = [name for name in dict.fromkeys(second.folds["problem"]) if name in set(first.folds["problem"])]
    shown = common[:MOST_ROWS]
    reasons = {problem: _not_paired(problem, first, second) for problem in shown}
    rows = [
        _row(problem, of_network, measure, (first, second), evaluate, settings, tested=not reasons[problem])
        for problem in shown
        for of_network, measure in OF_PROBLEM[: MOST_ROWS // len(shown)]
    ]
    rows = _judged(rows, settings.confidence)
    notes = [*_spread_note(rows), *(reason for reason in reasons.values() if reason)]
    notes += _other_notes(first, second, common)
    names = (first.name, second.name)
    verdict = " ".join([*_out_of_date(first, second), _verdict(names, rows, settings.confidence)])
    return RunComparison(names, verdict, notes, rows, differing(first, second), settings.confidence)


def _out_of_date(*runs: RunResults) -> Iterator[str]:
    """A sentence for each run whose settings or code changed after it ran: its scores are not theirs."""
    for run in runs:
        if run.stale:
            more = f" and {len(run.stale) - MOST_STALE} more" if len(run.stale) > MOST_STALE else ""
            yield (
                f"{run.name} is out of date: its scores are of before the change of "
                f"{', '.join(run.stale[:MOST_STALE])}{more}; run `dvc repro`."
            )


def _not_paired(problem: str, first: RunResults, second: RunResults) -> str:
    """Why the folds of a problem are not the same in both runs; empty if they are."""
    path = f"data/folds/{problem}.csv"
    for run in (first, second):
        if path not in run.md5:
            return f"{problem} was not tested: dvc.lock of {run.name} does not list {path}."
    keys = [run.folds[run.folds["problem"] == problem][["repeat", "fold"]].drop_duplicates() for run in (first, second)]
    if first.md5[path] != second.md5[path] or set(map(tuple, keys[0].values)) != set(map(tuple, keys[1].values)):
        return f"{problem} was not tested: the runs have different folds ({path}), so no fold can be paired."
    return ""


def _row(
    problem: str,
    of_network: bool,
    measure: str,
    runs: tuple[RunResults, RunResults],
    evaluate: score_tables.EvaluateSettings,
    settings: CompareSettings,
    *,
    tested: bool,
) -> Row:
    names, columns = [], []
    for run in runs:
        own = run.folds[run.folds["problem"] == problem]
        wanted, key = (evaluate.headline, "headline") if of_network else ([evaluate.baseline], "baseline")
        names.append(score_tables.first_of(wanted, own["classifier"].unique(), key))
        chosen = own[(own["classifier"] == names[-1]) & (own["measure"] == measure) & (own["class"] == "")]
        columns.append(chosen.set_index(["repeat", "fold"])[["value", "n_test", "n_train"]])
    first, second = (mean_sd(column["value"].to_numpy(dtype=float)) for column in columns)
    test, left_out = Difference(second[0] - first[0], np.nan, np.nan, np.nan), 0
    if tested:
        both = columns[1].join(columns[0]["value"].rename("before")).dropna()
        left_out = len(columns[1]) - len(both)
        share = float(both["n_test"].sum() / max(both["n_train"].sum(), 1))
        differences = (both["value"] - both["before"]).to_numpy(dtype=float)
        test = corrected_t_test(np.where(abs(differences) < SAME, 0.0, differences), share, settings.confidence)
    return Row(problem, (names[0], names[1]), measure, first, second, test, left_out)


def _judged(rows: Sequence[Row], confidence: float) -> list[Row]:
    """The rows with corrected p and verdict. Rows that are equal in every fold are not counted by the correction."""
    equal = [row.test == Difference(0.0, 0.0, 0.0, 1.0) for row in rows]
    adjusted = holm(np.array([np.nan if same else row.test.p for row, same in zip(rows, equal, strict=True)]))
    judged = []
    for row, same, p_holm in zip(rows, equal, adjusted.tolist(), strict=True):
        verdict = "unchanged" if same else "not tested"
        if np.isfinite(p_holm):
            shown = "better" if row.improvement > 0 else "worse"
            verdict = shown if p_holm < 1 - confidence else "no difference shown"
        judged.append(row._replace(p_holm=p_holm, verdict=verdict))
    return judged


def _verdict(names: tuple[str, str], rows: Sequence[Row], confidence: float) -> str:
    first, second = names
    found = {name: [row for row in rows if row.verdict == name] for name in ("better", "worse", "no difference shown")}
    better, worse, open_ = found.values()
    if better and worse:
        texts = [f"{name} in {_listed(of, confidence)}" for name, of in (("better", better), ("worse", worse))]
        return f"{second} is {'; '.join(texts)}, compared with {first}."
    for name, of in (("better", better), ("worse", worse)):
        if of:
            return f"{second} is {name} than {first}: {_listed(of, confidence)}."
    if open_:
        largest = max(open_, key=lambda row: -1.0 if np.isnan(row.spreads) else row.spreads)
        return (
            f"No difference shown between {first} and {second}; the largest change, measured in spreads, is "
            f"{_described(largest, confidence)}."
        )
    if rows and all(row.verdict == "unchanged" for row in rows):
        return f"{second} and {first} have the same scores in every fold."
    return f"{second} and {first} cannot be tested against each other."


def _listed(rows: Sequence[Row], confidence: float) -> str:
    """The first row of each problem in words, and the number of the others."""
    leading = list({row.problem: row for row in reversed(rows)}.values())[::-1]
    more = len(rows) - len(leading)
    return "; ".join(_described(row, confidence) for row in leading) + (f"; and {more} more below" if more else "")


def _described(row: Row, confidence: float) -> str:
    interval = f" ({confidence:.0%} interval {row.interval()})" if row.interval() else ""
    return f"{row.problem}, {words(row.measure)} of {row.classifier} {row.test.mean:+.3f}{interval}"


def _spread_note(rows: Sequence[Row]) -> list[str]:
    changed = [row for row in rows if row.verdict != "unchanged" and np.isfinite(row.test.mean)]
    beyond = sum(row.spreads > 1 for row in changed)
    if not changed:
        return []
    if not beyond:
        return ["No change of a mean exceeds its standard deviation over folds."]
    return [f"Changes that exceed their standard deviation over folds: {beyond} of {len(changed)}."]


def _other_notes(first: RunResults, second: RunResults, common: Sequence[str]) -> Iterator[str]:
    for problem in common:
        path = f"data/particles/{problem}.npz"
        if first.md5.get(path) != second.md5.get(path):
            yield f"{path} differs: the particles may not be the same, so a change need not come from the classifiers."
    for run, other in ((first, second), (second, first)):
        own = [name for name in dict.fromkeys(run.folds["problem"]) if name not in set(other.folds["problem"])]
        if own:
            yield f"Only {run.name} has results of {', '.join(own)}."
    if len(common) > MOST_ROWS:
        yield f"Not shown: {', '.join(common[MOST_ROWS:])}."
    if pick(second.params["params.yaml"], "source", "kind") == "artificial":
        yield ARTIFICIAL


def differing(first: RunResults, second: RunResults) -> list[tuple[str, str, str, str]]:
    """Parameters that differ: file, dotted key, and both values as text; a missing one is empty."""
    rows = []
    for file in dict.fromkeys([*first.params, *second.params]):
        one, other = (dict(_flat(run.params.get(file, {}))) for run in (first, second))
        keys = [key for key in dict.fromkeys([*one, *other]) if one.get(key) != other.get(key)]
        rows += [(file, key, _shown(one.get(key)), _shown(other.get(key))) for key in keys]
    return rows


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def to_markdown(comparison: RunComparison) -> list[str]:
    """The comparison as lines of Markdown: the verdict, notes, and the table."""
    cells = [[_escaped(cell) for cell in row.cells()] for row in comparison.rows]
    table = ["", *markdown_table([_escaped(name) for name in comparison.header()], cells), "", LEGEND] if cells else []
    return [f"**{_escaped(comparison.verdict)}**", "", *(f"- {_escaped(note)}" for note in comparison.notes), *table]


def params_to_markdown(comparison: RunComparison) -> tuple[list[str], list[str]]:
    """The parameters that differ as a table in Markdown: the lines of its heading, and its rows."""
    cells = [[_escaped(cell) for cell in row] for row in comparison.params]
    lines = markdown_table(["file", "parameter", *map(_escaped, comparison.names)], cells)
    return lines[:2], lines[2:]


def to_text(comparison: RunComparison) -> str:
    """The comparison as text for a terminal."""
    lines = [comparison.verdict, *comparison.notes]
    if comparison.rows:
        table = pd.DataFrame([row.cells() for row in comparison.rows], columns=comparison.header())
        lines += ["", table.to_string(index=False), "", LEGEND]
    lines += ["", "Parameters that differ:" if comparison.params else "No parameter differs."]
    lines += [
        f"  {file}: {key}: {one or '(none)'} → {other or '(none)'}" for file, key, one, other in comparison.params
    ]
    return "\n".join(lines)


def to_html(comparison: RunComparison, pictures: tuple[Mapping[str, bytes], Mapping[str, bytes]]) -> str:
    """The comparison as one page that needs no other files.

    Args:
        comparison: of the two runs.
        pictures: of both runs, by path.
    """
    from lipnet.deployment.reports.page import data_uri, render  # imports Jinja, which the text does not need

    first, second = pictures
    pairs = [
        {"path": path, "uris": [data_uri("png", of[path]) if path in of else "" for of in pictures]}
        for path in dict.fromkeys([*first, *second])
    ]
    content = {
        "comparison": comparison,
        "columns": comparison.header(),
        "tables": {
            name: [row.cells() for row in rows] for name, rows in groupby(comparison.rows, lambda row: row.problem)
        },
        "legend": LEGEND,
        "pairs": pairs,
    }
    return render("compare_runs.html.j2", content)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
