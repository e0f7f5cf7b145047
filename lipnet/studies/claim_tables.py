"""The verdicts on the claims of the thesis as tables."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lipnet.evaluation.formatting import UNDEFINED, markdown_table
from lipnet.evaluation.measures import DEAD_FILTERS, words
from lipnet.studies.claims import CONFIRMED, CONTRADICTED, NOT_RUN, OPEN, ClaimSettings
from lipnet.studies.formatting import decimals, interval

MIXED, QUESTION = "mixed", "open question"
OF_PICTURE = (CONFIRMED, CONTRADICTED, OPEN, QUESTION)


def together(verdicts: Sequence[str]) -> str:
    """One verdict of all arms of a claim: contradicted if one is, confirmed if all are, not confirmed otherwise.

    Not run if none was run; "" for an open question.
    """
    if all(verdict in (NOT_RUN, UNDEFINED) for verdict in verdicts):
        return NOT_RUN if NOT_RUN in verdicts else UNDEFINED
    if "" in verdicts:
        return ""
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return CONFIRMED if all(verdict == CONFIRMED for verdict in verdicts) else OPEN


def overall(verdicts: Sequence[str], of_means: Mapping[str, str]) -> str:
    """The verdict over all problems where a claim was judged, in words.

    What means show is added, unless all problems confirm the claim, or all contradict it.

    Args:
        verdicts: one for each problem.
        of_means: name of a mean -> verdict on it.
    """
    text = _overall(verdicts)
    shown = [f"{verdict} on the {name}" for name, verdict in of_means.items() if verdict in (CONFIRMED, CONTRADICTED)]
    return "; ".join([text, *shown]) if text not in (CONFIRMED, CONTRADICTED) else text


def _overall(verdicts: Sequence[str]) -> str:
    known = [verdict for verdict in verdicts if verdict in (CONFIRMED, CONTRADICTED, OPEN)]
    if not known:
        return QUESTION if "" in verdicts else NOT_RUN
    for one, other in ((CONFIRMED, CONTRADICTED), (CONTRADICTED, CONFIRMED)):
        if one in known and other not in known:
            n = known.count(one)
            return one if n == len(known) else f"{one} on {n} of {len(known)}, not confirmed on the others"
    return MIXED if CONFIRMED in known else OPEN


def summary_table(table: pd.DataFrame, settings: ClaimSettings) -> str:
    """The claims as a Markdown table, one row each: what the data sets show, and the verdict.

    Args:
        table: result of ``claims.judge``.
        settings: the claims.
    """
    header, rows = ["section", "claim of the thesis", *settings.sets, *settings.means, "verdict"], []
    for name, claim in settings.claims.items():
        of_claim, verdicts = table[table["claim"] == name], {}
        cells: dict[str, list[str]] = {}
        for _, part in of_claim.groupby(["set", "problem"], sort=False):
            of_set, problem = part[["set", "problem"]].iloc[0]
            verdict = verdicts[of_set, problem] = together(part["verdict"].tolist())
            needs = claim.needs.get(of_set, f"study {claim.study} with these arms, in studies/params.yaml")
            label = f"{problem}: " if problem != of_set else ""
            cells.setdefault(of_set, []).append(label + _cell(part, verdict, "" if of_set in settings.means else needs))
        of_means = {mean: verdicts.pop((mean, mean)) for mean in settings.means}
        texts = ["<br>".join(cells.get(column, [])) for column in (*settings.sets, *settings.means)]
        rows.append([claim.section, claim.text, *texts, overall(list(verdicts.values()), of_means)])
    return "\n".join(markdown_table(header, rows)) + "\n"


def _cell(part: pd.DataFrame, verdict: str, needs: str) -> str:
    """One cell; "" for a mean without numbers, which needs nothing of its own."""
    if verdict == NOT_RUN:
        return f"not run: needs {needs}" if needs else ""
    run, digits = part[part["verdict"] != NOT_RUN], _digits(part["measure"].iloc[0])
    absent = part.loc[part["verdict"] == NOT_RUN, "arm"].tolist()
    texts = [_in_bold(verdict, run), _differences(run, digits), "" if verdict == CONFIRMED else _power(run, digits)]
    texts.append(f"not run: {', '.join(absent)}" + (f" (needs {needs})" if needs else "") if absent else "")
    return "; ".join(filter(None, texts))


def _in_bold(verdict: str, run: pd.DataFrame) -> str:
    n = int((run["verdict"] == CONFIRMED).sum())
    mixed = len(run) > 1 and verdict in (OPEN, CONTRADICTED) and n
    return verdict and f"**{verdict}**" + (f" (confirmed for {n} of {len(run)} arms)" if mixed else "")


def _differences(run: pd.DataFrame, digits: int) -> str:
    """The difference of the only arm with its interval, or the least and the largest of all arms."""
    if len(run) == 1:
        return _interval(run.iloc[0], digits)
    extremes = run["difference"].agg(["min", "max"]).round(digits)
    return " to ".join(f"{number + 0:+.{digits}f}" for number in extremes)


def _power(run: pd.DataFrame, digits: int) -> str:
    """The largest detectable difference of the arms; with that of the thesis, if all of the thesis's are larger."""
    text = f"detectable: {decimals(run['detectable'].max(), digits)}"
    if not (run["detectable"] < run["thesis"].abs()).all():
        return text
    least = f"{run['thesis'].abs().min():.{digits}f}"
    return f"{text}, in the thesis {least}" + (" or more" if len(run) > 1 else "")


def _digits(measure: str) -> int:
    return 1 if measure == DEAD_FILTERS else 2


def _interval(row: pd.Series, digits: int) -> str:
    return interval(row["difference"], row["low"], row["high"], digits)


def details_table(table: pd.DataFrame) -> str:
    """Every comparison that was run, as a Markdown table; ``table`` is the result of ``claims.judge``."""
    numbers = ["difference [interval]", "p (Holm)", "detectable", "in the thesis", "folds", "verdict"]
    rows = []
    for _, row in table[table["verdict"] != NOT_RUN].iterrows():
        digits = _digits(row["measure"]) + 1
        cells = [row["claim"], row["problem"], f"{row['arm']} against {row['reference']}", words(row["measure"])]
        cells += [_interval(row, digits), decimals(row["p_holm"]), decimals(row["detectable"], digits)]
        cells += [f"{row['thesis']:+.2f}" if np.isfinite(row["thesis"]) else "", f"{row['folds']:.0f}"]
        rows.append([*cells, row["verdict"] or QUESTION])
    return "\n".join(markdown_table(["claim", "problem", "arms", "measure", *numbers], rows)) + "\n"


def picture_rows(table: pd.DataFrame, settings: ClaimSettings) -> pd.DataFrame:
    """The rows of ``plots.claims.claims_picture``: comparisons with a verdict or a question, without dead filters.

    Dead filters are counts, in another unit than the other measures.

    Args:
        table: result of ``claims.judge``.
        settings: the claims.
    """
    panels = [row["problem"] if _has_several(row, settings) else row["set"] for _, row in table.iterrows()]
    columns = [*settings.sets, *settings.means]
    order = sorted(dict.fromkeys(zip(table["set"], panels, strict=True)), key=lambda pair: columns.index(pair[0]))
    rows = table.assign(panel=pd.Categorical(panels, [panel for _, panel in order]))
    rows = rows[rows["verdict"].isin((*OF_PICTURE, "")) & (rows["measure"] != DEAD_FILTERS)]
    of_claims = {name: claim.text for name, claim in settings.claims.items()}
    alone = {name for name, claim in settings.claims.items() if len(claim.arms) == 1}
    return pd.DataFrame(
        {
            "claim": rows["claim"].map(of_claims),
            "arms": rows["arm"].where(~rows["claim"].isin(alone), ""),
            "verdict": rows["verdict"].replace("", QUESTION),
            **{name: rows[name] for name in ("panel", "measure", "difference", "low", "high", "thesis")},
        }
    )


def _has_several(row: pd.Series, settings: ClaimSettings) -> bool:
    """Whether the problem of a comparison needs a panel of its own, beside others of its data set."""
    own = settings.sets.get(row["set"], [])
    return len(own) > 1 or len(settings.claims[row["claim"]].problems.get(row["set"], own)) > 1
