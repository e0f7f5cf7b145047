"""Images that two problems share are read once; each problem then is as if it had read them itself."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.sources import images
from stages import ingest, share
from tests.stages.test_stages import make_params

N, SIDE = 70, 14  # more than one task
TEXTS = ("table", "rejected", "duplicates", "counts")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Crops in data/raw/cells with two labels each; one crop is missing, and two rows have no class of a problem."""
    monkeypatch.setenv("LIPNET_WORKERS", "1")
    own = tmp_path / "raw/cells"
    own.mkdir(parents=True)
    (tmp_path / "raw/shell").mkdir()
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    for number in range(N):
        noise = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
        Image.fromarray(noise).save(own / f"{number}.png")
    Image.fromarray(x**2 + y**2 < 30).save(own / "mask.png")
    rows = {
        "id": [f"p{number}" for number in range(N)],
        "image": [f"{number}.png" for number in range(N)],
        "mask": "mask.png",
        "class": ["Full", "Empty"] * (N // 2),
        "shell": (["Thin", "Thick", "Thick"] * N)[:N],
        "density": np.linspace(0.1, 0.9, N),
        "group": [f"g{number // 3}" for number in range(N)],
    }
    table = pd.DataFrame(rows)
    table.loc[5, "class"], table.loc[66, "shell"] = "Other", ""
    table.loc[9, "image"] = "absent.png"
    table.to_csv(own / "particles.csv", index=False)
    return tmp_path


def _params(of: dict[str, Any], **changes: Any) -> dict[str, Any]:
    classes = {"cells": ["Full", "Empty"], "shell": ["Thin", "Thick"]}
    limit = {"ingest__max_rejected_fraction": 0.2}
    source = {"source__kind": "table", "source__of": of, "source__feature_columns": ["density"]}
    return make_params(problems=["cells", "shell"], classes=classes, **source, **limit, **changes)


SHARED = {"cells": {"images_of": "cells"}, "shell": {"images_of": "cells", "class_column": "shell"}}


def _share(folder: Path, params: dict[str, Any]) -> None:
    store = folder / "shared/cells.npz"
    share.main(params, Namespace(images="cells", folder=folder / "raw/cells", store=store))


def _ingest(folder: Path, params: dict[str, Any], problem: str, raw: str, to: str) -> dict[str, bytes]:
    paths = {name: folder / to / problem / name for name in (*TEXTS, "store", "pictures")}
    ingest.main(params, Namespace(problem=problem, folder=folder / "raw" / raw, shared=folder / "shared", **paths))
    return {name: paths[name].read_bytes() for name in (*TEXTS, "store")}


def test_images_are_read_once_and_each_problem_is_as_if_it_read_them_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, read = list[str](), images.read_samples
    monkeypatch.setattr(images, "read_samples", lambda path: opened.append(path.name) or read(path))
    params = _params(SHARED)
    _share(folder, params)
    found = {problem: _ingest(folder, params, problem, problem, "shared_out") for problem in ("cells", "shell")}
    assert len(opened) == len(set(opened)) >= N - 1  # one is absent
    alone = _params({"shell": {"class_column": "shell"}})
    for problem, outputs in found.items():
        expected = _ingest(folder, alone, problem, "cells", "alone")
        assert [name for name in outputs if outputs[name] != expected[name]] == []
    rejected = {problem: outputs["rejected"].decode() for problem, outputs in found.items()}
    assert "'Other' is not one of Full, Empty" in rejected["cells"] and "absent.png" in rejected["cells"]
    assert "shell '' is not one of Thin, Thick" in rejected["shell"] and "Other" not in rejected["shell"]


def test_each_problem_has_its_own_corrections(folder: Path) -> None:
    params = _params(SHARED)
    _share(folder, params)
    (folder / "raw/shell/corrections.csv").write_text("id,label\np0,Thick\n")
    cells, shell = (_ingest(folder, params, problem, problem, "out") for problem in ("cells", "shell"))
    assert b'"corrected": 0' in cells["counts"] and b'"corrected": 1' in shell["counts"]
    assert "p0,Thick," in shell["table"].decode() and "p0,Full," in cells["table"].decode()


def test_images_shared_under_another_rule_of_grey_levels_are_refused(folder: Path) -> None:
    _share(folder, _params(SHARED))
    with pytest.raises(InputError, match=r"cells\.npz: made with source\.grey = .*; run `dvc repro`"):
        _ingest(folder, _params(SHARED, source__grey__rule="percentile"), "shell", "shell", "out")


def test_a_folder_that_no_problem_uses_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"shared: no problem uses cells; name it in source\.of\.PROBLEM\.images_of"):
        _share(folder, _params({}))


def test_a_task_without_a_particle_of_a_problem_is_left_out(folder: Path) -> None:
    path = folder / "raw/cells/particles.csv"
    table = pd.read_csv(path, dtype=str)
    table.loc[64:, "shell"] = "Other"  # the whole second task
    table.to_csv(path, index=False)
    params = _params(SHARED)
    _share(folder, params)
    assert len(_ingest(folder, params, "shell", "shell", "out")["table"].splitlines()) == 64
