"""Mutation testing: how many small changes of metrics, folds, balance and features the tests detect.

    python -m benchmarks.mutation [--at-least 85]

writes benchmarks/results/mutation.md, and fails if the score is below the limit. pyproject.toml lists the mutated
modules and their tests under tool.mutmut. `mutmut show NAME` prints a mutant that survived.
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
Killed: a test fails, or takes fifteen times its usual time ("timed out", counted among the killed).
Survived: every test passes, or no test reaches the mutant. Equivalent mutants are counted as survivors too. Only code
inside functions is mutated; limits of settings and constants of modules are not.
"""


class Tally(NamedTuple):
    """Mutants of one module."""

    killed: int
    timed_out: int
    survived: int

    @property
    def mutants(self) -> int:
        """Number of all mutants."""
        return sum(self)

    @property
    def score(self) -> float:
        """Percentage of mutants that did not survive."""
        return 100 * (1 - self.survived / self.mutants)


def main() -> None:
    """Run mutmut without earlier results, write the table, and fail if too many mutants survive."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--at-least", type=float, default=85.0, help="lowest score, in percent, that does not fail")
    least = parser.parse_args().at_least
    shutil.rmtree(MUTANTS, ignore_errors=True)  # results of an older run would be counted
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # a forked process would hang if OpenMP had started threads
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
    """Exit codes of the tests, one per mutant, for each mutated module.

    Args:
        folder: the folder that mutmut wrote.

    Returns:
        Module, such as samples.folds -> exit codes; None for a mutant that was not tested.
    """
    package, found = folder / "lipnet", {}
    for path in sorted(package.rglob("*.py.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        if codes:
            name = path.relative_to(package).as_posix().removesuffix(".py.meta")
            found[name.replace("/", ".")] = list(codes.values())
    return found


def tally(codes: Iterable[int | None]) -> Tally:
    """Count the mutants by result.

    Raises:
        ValueError: a mutant has no result: it was not tested, or its test run crashed.
    """
    counts = Counter(codes)
    if unknown := counts.keys() - KILLED - TIMED_OUT - SURVIVED:
        raise ValueError(f"mutants without a result, exit codes {unknown}; run again")
    return Tally(*(sum(counts[code] for code in codes_of_result) for codes_of_result in (KILLED, TIMED_OUT, SURVIVED)))


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
