"""Pack the trials behind all reports of studies/ into studies/trials.zip, so that other machines need not train them.

    make pack-trials

They come from data/trials and from the existing pack; trials that no report needs any more are left out.
"""

import sys
from pathlib import Path

from benchmarks.measure import ROOT
from lipnet.core.errors import InputError
from lipnet.studies import packs

STUDIES, PACK, TRIALS = Path("studies"), Path("studies/trials.zip"), Path("data/trials")


def main() -> None:
    """Write the pack and its digest, and print what it holds."""
    try:
        print(pack(ROOT))
    except InputError as error:
        sys.exit(f"pack_trials: {error}")


def pack(root: Path) -> str:
    """Write the pack of a project and its digest; return a sentence on what it holds.

    Args:
        root: folder of the project.

    Raises:
        InputError: no study names its trials, a trial is missing or damaged, or the existing pack is damaged; nothing
            is written then.
    """
    tables = sorted((root / STUDIES).rglob("trials.csv"))
    if not tables:
        raise InputError(f"{root / STUDIES}: no study has a trials.csv; run `make studies`")
    needed = {table: packs.keys_needed(table) for table in tables}
    keys = {key for of_study in needed.values() for key in of_study}
    cached = {key: path for key in keys if (path := root / TRIALS / f"{key}.npz").exists()}
    found = packs.read(root / PACK, keys - cached.keys()) | {key: path.read_bytes() for key, path in cached.items()}
    lacking = {table: set(of_study) - found.keys() for table, of_study in needed.items()}
    if any(lacking.values()):
        lines = [f"{table}: {len(some)} trials are missing, as {min(some)}" for table, some in lacking.items() if some]
        raise InputError("\n".join([*lines, f"neither {TRIALS} nor {PACK} has them; run `make studies`"]))
    dropped = len(packs.keys_in(root / PACK) - keys)
    packs.write(root / PACK, found)
    sizes = [len(content) for content in found.values()]
    return (
        f"{PACK}: {len(found)} trials of {len(tables)} studies, {sum(sizes) / 1e6:.2f} MB, "
        f"packed into {(root / PACK).stat().st_size / 1e6:.2f} MB; {dropped} of the old pack dropped"
    )


if __name__ == "__main__":
    main()
