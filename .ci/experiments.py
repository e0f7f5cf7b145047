"""Table of all experiments: name, model and recipe first, then scores of the network, then the parameters that vary.

    python .ci/experiments.py        (make experiments)

`dvc exp show` puts the metrics first and omits the columns that do not fit. This table of two problems fits ``WIDTH``
characters. Metrics are those of metrics/metrics.json: `_up` means that higher is better, `_down` that lower is better.
"""

import io
import subprocess
import sys
import textwrap

import pandas as pd

WIDTH = 160
MEASURES = ("macro_f1_up", "log_loss_down", "rarest_recall_up")
FIRST = ["model", "recipe"]
INDENT = " " * 4


def main() -> None:
    """Print the table; exit code 1 with the message of dvc if it fails."""
    command = [sys.executable, "-m", "dvc", "exp", "show", "--csv", "--force", *sys.argv[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    print(table(pd.read_csv(io.StringIO(done.stdout), dtype=str, keep_default_na=False)))


def table(shown: pd.DataFrame) -> str:
    """The table as text.

    Args:
        shown: what `dvc exp show --csv` prints. Dependencies have a slash in their name; parameters have none.
    """
    of_network = [tuple(name.split(".")) for name in shown.columns if ".network." in name]
    scores = [key for key in of_network if key[-1] in MEASURES]
    names = [one or other for one, other in zip(shown["Experiment"], shown["rev"], strict=True)]
    columns: dict[tuple[str, ...], list[str]] = {("", "", "experiment"): names}
    columns |= {("", "", name): shown[name].tolist() for name in FIRST}
    columns |= {key: shown[".".join(key)].tolist() for key in scores}
    text = pd.DataFrame(columns).to_string(index=False).splitlines()
    heads = text.index(next(line for line in text if "experiment" in line)) + 1
    lines = text[:heads]
    for line, changes in zip(text[heads:], _changes(shown), strict=True):
        # What varies goes below the row where it does not fit beside it; nothing is cut.
        fits = len(line) + 2 + len(changes) <= WIDTH
        lines += (
            [f"{line}  {changes}".rstrip()]
            if fits
            else [line, *textwrap.wrap(changes, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)]
        )
    return "\n".join(lines)


def _changes(shown: pd.DataFrame) -> list[str]:
    """The parameters that vary, without model and recipe, for each row."""
    rest = shown.columns[list(shown.columns).index("model") :]
    varying = [name for name in rest if name not in FIRST and "/" not in name and len(set(shown[name])) > 1]
    return [", ".join(f"{name}={row[name]}" for name in varying) for row in shown.to_dict("records")]


if __name__ == "__main__":
    main()
