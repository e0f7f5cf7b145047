"""Mutation testing: which small changes of metrics, folds, balance and features the tests notice.

    python -m benchmarks.mutation [--at-least 85]

writes benchmarks/results/mutation.md and fails below that score. What is mutated, and which tests judge it, stands in
pyproject.toml under tool.mutmut; `mutmut show NAME` prints a mutant that survived.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import ROOT, table, write_results

MUTANTS = ROOT / "mutants"
# Exit codes of mutmut; 33 and 5: no test reaches the mutant.
KILLED, TIMED_OUT, SURVIVED = {1, 3}, {36, 24, -24, 152, 255}, {0, 5, 33}
NOTE = """\
Killed: a test fails, or takes fifteen times as long as it should ("timed out", counted among the killed).
Survived: every test passes, or none reaches the mutant. No survivor is left out as equivalent. Code inside functions is
mutated; the limits of settings and the constants of a module are not.
"""


class Tally(NamedTuple):
    """Mutants of one module."""

    killed: int
    timed_out: int
    survived: int

    @property
    def mutants(self) -> int:
        """All of them."""
        return sum(self)

    @property
    def score(self) -> float:
        """Share of the mutants that did not survive, in percent."""
        return 100 * (1 - self.survived / self.mutants)


def main() -> None:
    """Run mutmut from nothing, write the table, and fail where too many mutants survive."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--at-least", type=float, default=85.0, help="the score in percent below which this fails")
    least = parser.parse_args().at_least
    shutil.rmtree(MUTANTS, ignore_errors=True)  # what an older run remembers of other tests would count
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # a fork of a process whose OpenMP has threads hangs
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1"], cwd=ROOT, env=one_thread, check=True)
    tallies = {name: tally(codes) for name, codes in exit_codes(MUTANTS).items()}
    total = Tally(*map(sum, zip(*tallies.values(), strict=True)))
    rows = [cells(name, one) for name, one in [*tallies.items(), ("all", total)]]
    names = ["module", "mutants", "killed", "of these timed out", "survived", "score"]
    packages = ["mutmut", "pytest", "hypothesis", "numpy"]
    write_results("mutation", "Mutation testing", "mutation", packages, [NOTE, table(names, rows)])
    if total.score < least:
        sys.exit(f"mutation score {total.score:.1f} % is below {least:g} %; `mutmut results` lists the survivors")


def exit_codes(folder: Path) -> dict[str, list[int | None]]:
    """Of every module that mutmut mutated, the exit code of the tests for each mutant."""
    found = {}
    for path in sorted(folder.glob("lipnet/*.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            found[path.name.removesuffix(".py.meta")] = list(codes.values())
    return found


def tally(codes: Iterable[int | None]) -> Tally:
    """Count verdicts.

    Raises:
        ValueError: some mutant has no verdict: it was not run, or its run broke down.
    """
    counts = Counter(codes)
    if unknown := counts.keys() - KILLED - TIMED_OUT - SURVIVED:
        raise ValueError(f"mutants without a verdict, exit codes {unknown}; run again")
    return Tally(*(sum(counts[code] for code in verdict) for verdict in (KILLED, TIMED_OUT, SURVIVED)))


def cells(name: str, one: Tally) -> list[str]:
    """A row of the table."""
    return [
        name,
        str(one.mutants),
        str(one.killed + one.timed_out),
        str(one.timed_out),
        str(one.survived),
        f"{one.score:.1f} %",
    ]


if __name__ == "__main__":
    main()
