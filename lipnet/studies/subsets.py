"""Studies of ordered subsets: which items help, alone and in pairs, and does their order matter (thesis, section 8.2).

The arms are often drawn, so a linear model over the arms tells apart what their items do.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS

from lipnet.evaluation.comparison import NO_SCATTER, corrected_t_test, holm
from lipnet.evaluation.formatting import UNDEFINED, markdown_table
from lipnet.evaluation.measures import LOWER_IS_BETTER, words
from lipnet.studies.formatting import decimals, interval
from lipnet.studies.power import POWER, in_standard_errors
from lipnet.studies.study import SEPARATOR, SubsetSettings, count

ITEMS, PAIRS, ORDERS = "items", "pairs", "orders"  # the kinds of terms, in the order in which they enter the model
HELPS, HARMS, NOT_SEEN = "helps", "harms", "no effect seen"
LEAST_FREE = 5  # arms beyond the number of coefficients that pairs and orders must leave: with fewer, intervals explode
Columns = dict[str, dict[str, NDArray[np.float64]]]  # kind -> term -> its column of the design, a value for each arm
MODEL = """\
A linear model over the {arms} arms says what their items do to {judged}. An arm counts with its mean over the folds
({folds}). The terms, all fitted at once: {terms}. Holm's correction runs over the terms of a kind.
"""
READING = """\
The intervals ({percent} %, not corrected) cover the draw of the arms and the noise of training, on these folds. Whether
an effect holds for other particles is another question. For it, "over folds" fits the model in each fold and tests the
effect with the corrected resampled t-test; few folds show large effects only.
"""
MEANING = {
    ITEMS: "each item (its mean effect over the arms)",
    PAIRS: "each pair of items (what the two together add to their single effects)",
    ORDERS: "the order of each pair (the first before the second, minus the reverse)",
}


class FTest(NamedTuple):
    """Whether a kind of terms adds anything to the other kinds: statistic, its degrees of freedom, p."""

    f: float
    terms: int
    free: int
    p: float


class Analysis(NamedTuple):
    """What the arms of one problem say about their items.

    Attributes:
        effects: one row for each term: kind, term, effect, error (standard error), low, high, p,
            p_holm (over the terms of a kind), smallest (effect that the arms show with a probability of ``POWER``),
            verdict (``HELPS``, ``HARMS``, ``NOT_SEEN``, undefined); fold_low, fold_high, fold_p, fold_p_holm,
            fold_verdict: the same effect tested over the folds. No rows if the arms cannot separate the items.
        tests: kind -> F-test, for each kind in the model.
        left_out: kinds and terms that the arms cannot separate from the others.
        arms: number of arms.
        folds: number of folds where all arms are defined; the others are not used.
        of_folds: number of folds.
    """

    effects: pd.DataFrame
    tests: dict[str, FTest]
    left_out: list[str]
    arms: int
    folds: int
    of_folds: int


def analyse(folds: pd.DataFrame, subsets: SubsetSettings, judged: str, confidence: float) -> Analysis:
    """Least squares over the arms, with folds as blocks, on the presence, the pairs and the order of items.

    Every arm is trained on every fold, so the model of all values with a constant for each fold has the same
    coefficients as the model of the means of arms over folds. The second one is fitted, because the scatter of arms
    about the model is the error of its terms: training noise, and what the model does not describe. Folds of an arm are
    not independent values.

    An item enters as presence minus mean presence, a pair as the product of the two, an order as +1/2 (the first comes
    before the second), -1/2 (after) or 0 (one is absent). With this centring, the effect of an item is the mean, over
    the drawn subsets, of adding it anywhere, and not its effect in the absence of all others. The coefficient of a pair
    does not depend on the centring.

    A term that the arms cannot separate from the terms before it is left out, as if it had no effect. A kind is left
    out if half of its terms are, or if the others leave fewer than ``LEAST_FREE`` degrees of freedom. Without an item,
    there is no model.

    Args:
        folds: columns arm, repeat, fold, n_train, n_test, class ("" for overall), measure, value.
        subsets: the items; the name of an arm lists its own, with ``SEPARATOR`` between them.
        judged: the measure.
        confidence: level of the intervals; 1 - confidence is the level of the tests.
    """
    part = folds[(folds["class"] == "") & (folds["measure"] == judged)]
    wide = part.pivot_table(index=["repeat", "fold"], columns="arm", values="value", dropna=False)
    blocks = wide.dropna().to_numpy(dtype=np.float64)
    possible = _columns(list(wide.columns), subsets.items)
    columns = _separable(possible, wide.shape[1]) if len(blocks) else {}
    counts = (_left_out(possible, columns), wide.shape[1], len(blocks), len(wide))
    if not columns:
        return Analysis(pd.DataFrame(), {}, *counts)

    blocks = blocks - blocks.mean(axis=1, keepdims=True)
    fit = _fit(blocks, columns)
    names = [(kind, term) for kind, terms in columns.items() for term in terms]
    table = pd.DataFrame(names, columns=["kind", "term"]).assign(**_over_arms(fit, confidence))
    of_kind = table.groupby("kind")["p"]
    table["p_holm"] = of_kind.transform(_holm)
    level = (1 - confidence) / of_kind.transform("size")  # Holm's, for the smallest p-value
    table["smallest"] = table["error"] * [in_standard_errors(fit.df_resid, one) for one in level]
    table["verdict"] = _verdicts(table["effect"], table["p_holm"], judged, confidence)

    of_folds = np.linalg.lstsq(_design(columns, wide.shape[1]), blocks.T)[0][1:]
    share = float(part["n_test"].sum() / part["n_train"].sum())
    over_folds = [corrected_t_test(effects, share, confidence) for effects in of_folds]
    table[["fold_low", "fold_high", "fold_p"]] = [test[1:] for test in over_folds]
    table["fold_p_holm"] = table.groupby("kind")["fold_p"].transform(_holm)
    table["fold_verdict"] = _verdicts(table["effect"], table["fold_p_holm"], judged, confidence)
    return Analysis(table, {kind: _f_test(fit, blocks, columns, kind) for kind in columns}, *counts)


def _columns(arms: Sequence[str], items: Sequence[str]) -> Columns:
    of_arms = [arm.split(SEPARATOR) for arm in arms]
    places = {item: np.array([arm.index(item) if item in arm else np.nan for arm in of_arms]) for item in items}
    has = {item: np.isfinite(place).astype(np.float64) for item, place in places.items()}
    centred = {item: presence - presence.mean() for item, presence in has.items()}
    pairs = list(combinations(items, 2))
    orders = {(a, b): np.nan_to_num(np.sign(places[b] - places[a])) / 2 for a, b in pairs}
    return {
        ITEMS: centred,
        PAIRS: {f"{a} with {b}": centred[a] * centred[b] for a, b in pairs},
        ORDERS: {f"{a} before {b}": order for (a, b), order in orders.items()},
    }


def _design(columns: Columns, n_arms: int) -> NDArray[np.float64]:
    """A column of ones, then all columns: shape (n_arms, 1 + terms)."""
    return np.column_stack([np.ones(n_arms), *(column for terms in columns.values() for column in terms.values())])


def _separable(columns: Columns, n_arms: int) -> Columns:
    """The columns that enter the model; none if the items cannot be separated."""
    kept: Columns = {}
    for kind, terms in columns.items():
        own: dict[str, NDArray[np.float64]] = {}
        for term, column in terms.items():
            design = _design({**kept, kind: {**own, term: column}}, n_arms)
            if np.linalg.matrix_rank(design) == design.shape[1]:
                own[term] = column
        free = n_arms - 1 - len(own) - sum(map(len, kept.values()))
        if kind == ITEMS and (len(own) < len(terms) or free < 1):
            return {}
        if kind == ITEMS or (2 * len(own) > len(terms) and free >= LEAST_FREE):
            kept[kind] = own
    return kept


def _left_out(possible: Columns, kept: Columns) -> list[str]:
    names = []
    for kind, terms in possible.items():
        names += [term for term in terms if term not in kept[kind]] if kind in kept else [kind]
    return names


def _fit(blocks: NDArray[np.float64], columns: Columns) -> Any:
    return OLS(blocks.mean(axis=0), _design(columns, blocks.shape[1])).fit()


def _over_arms(fit: Any, confidence: float) -> dict[str, NDArray[np.float64]]:
    effects, errors = fit.params[1:], np.where(fit.bse[1:] < NO_SCATTER, np.nan, fit.bse[1:])
    half = stats.t.ppf((1 + confidence) / 2, fit.df_resid) * errors
    p = 2 * stats.t.sf(np.abs(effects) / errors, fit.df_resid)
    return {"effect": effects, "error": errors, "low": effects - half, "high": effects + half, "p": p}


def _f_test(fit: Any, blocks: NDArray[np.float64], columns: Columns, kind: str) -> FTest:
    without = _fit(blocks, {other: terms for other, terms in columns.items() if other != kind})
    scatter = np.sqrt(fit.mse_resid) > NO_SCATTER
    f, p, _ = fit.compare_f_test(without) if scatter else (np.nan, np.nan, None)
    return FTest(float(f), len(columns[kind]), int(fit.df_resid), float(p))


def _holm(p_values: pd.Series) -> NDArray[np.float64]:
    return holm(p_values.to_numpy())


def _verdicts(effects: pd.Series, p_holm: pd.Series, judged: str, confidence: float) -> NDArray[Any]:
    sign = -1 if judged in LOWER_IS_BETTER else 1
    seen = np.where(p_holm < 1 - confidence, np.where(sign * effects > 0, HELPS, HARMS), NOT_SEEN)
    return np.where(np.isfinite(p_holm), seen, UNDEFINED)


def report(folds: pd.DataFrame, subsets: SubsetSettings, judged: str, confidence: float) -> str:
    """The part of a report about the items of ordered subsets: sentences and two tables; arguments of ``analyse``."""
    found, possible = analyse(folds, subsets, judged, confidence), count(subsets)
    text = f"{found.arms} of {possible} ordered subsets"
    text += ", drawn from the seed.\n" if found.arms < possible else ".\n"
    if found.folds < found.of_folds:
        text += f"All arms are defined in {found.folds} of {found.of_folds} folds; the other folds are not used.\n"
    if found.effects.empty:
        cannot = "They are too few" if found.folds else "There is no fold"
        return f"{text}{cannot} to tell the effects of {len(subsets.items)} items apart.\n"
    if found.left_out:
        text += (
            "They are too few to tell these apart from the other terms. The model leaves them out, as if they had no "
        )
        text += f"effect: {', '.join(found.left_out)}.\n"
    terms = "; ".join(MEANING[kind] for kind in found.tests)
    model = MODEL.format(terms=terms, judged=words(judged), arms=found.arms, folds=found.folds)
    parts = [text, model, reading(confidence), in_words(found, judged, confidence)]
    is_item = found.effects["kind"] == ITEMS
    parts.append(_items_to_markdown(found.effects[is_item], judged))
    if not is_item.all():
        parts.append(_others_to_markdown(found.effects[~is_item], judged))
    return "\n".join(parts)


def reading(confidence: float) -> str:
    """How to read intervals and verdicts."""
    return READING.format(percent=f"{100 * confidence:.0f}")


def in_words(found: Analysis, judged: str, confidence: float) -> str:
    """A sentence for each item and for each other kind of terms; ``found`` has effects."""
    of_kind = dict(list(found.effects.groupby("kind")))
    lines = [_of_item(row, judged) for _, row in of_kind[ITEMS].iterrows()]
    if PAIRS in of_kind:
        question = "Does an item do more, or less, beside another"
        lines.append(_of_kind(question, "a pair", found.tests[PAIRS], of_kind[PAIRS], confidence))
    if ORDERS in of_kind:
        lines.append(_of_kind("Does the order matter", "order", found.tests[ORDERS], of_kind[ORDERS], confidence))
    return "\n".join(lines) + "\n"


def _of_item(row: pd.Series, judged: str) -> str:
    start = f"- {row['term']}: {row['verdict']}"
    if row["verdict"] == UNDEFINED:
        return f"{start}, because the arms do not scatter."
    of_folds = {row["verdict"]: "the same over folds", UNDEFINED: "undefined over folds"}
    over = of_folds.get(row["fold_verdict"], f"{row['fold_verdict']} over folds")
    power = f"an effect of {decimals(row['smallest'])} is shown in {100 * POWER:.0f} % of draws"
    return f"{start} ({words(judged)} {interval(*row[['effect', 'low', 'high']])}; {power}; {over})."


def _of_kind(question: str, kind: str, test: FTest, effects: pd.DataFrame, confidence: float) -> str:
    if not np.isfinite(test.p):
        return f"- {question}? {UNDEFINED.capitalize()}, because the arms do not scatter."
    # One bound for all terms needs no correction: it is wrong only if the interval of the largest true effect is.
    largest = float(effects[["low", "high"]].abs().to_numpy().max())
    answer = "Yes" if test.p < 1 - confidence else "Not seen"
    statistic = f"F({test.terms}, {test.free}) = {test.f:.2f}, p = {decimals(test.p)}"
    return f"- {question}? {answer} ({statistic}). The intervals leave no effect of {kind} above {largest:.3f} open."


def _items_to_markdown(effects: pd.DataFrame, judged: str) -> str:
    header = ["item", f"effect on {words(judged)} [interval]", "p (Holm)", "verdict", f"shown in {100 * POWER:.0f} %"]
    header += ["over folds [interval]", "p (Holm) over folds", "verdict over folds"]
    rows = [
        [
            *_cells(row),
            decimals(row["smallest"]),
            interval(*row[["effect", "fold_low", "fold_high"]]),
            decimals(row["fold_p_holm"]),
            row["fold_verdict"],
        ]
        for _, row in effects.iterrows()
    ]
    return "\n".join(markdown_table(header, rows)) + "\n"


def _others_to_markdown(effects: pd.DataFrame, judged: str) -> str:
    """Pairs and orders, the largest effect first."""
    header = ["pair or order", f"effect on {words(judged)} [interval]", "p (Holm)", "verdict"]
    by_size = effects.sort_values("effect", key=abs, ascending=False, kind="stable")
    return "\n".join(markdown_table(header, [_cells(row) for _, row in by_size.iterrows()])) + "\n"


def _cells(row: pd.Series) -> list[str]:
    return [row["term"], interval(*row[["effect", "low", "high"]]), decimals(row["p_holm"]), row["verdict"]]
