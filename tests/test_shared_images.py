"""Two problems on one set of images, as a user drives them: one `dvc repro` reads the images once."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from tests.test_pipeline import ROOT, SMALL, TINY_NETWORK, change, stages_run, succeed

N, SIDE = 60, 18


def _made_set(folder: Path) -> None:
    """Bright or dark discs (class), large or small (size), three to a group."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    rows = []
    for number in range(N):
        bright, large = number % 2, number // 2 % 2
        disc = x**2 + y**2 < (8 if large else 5) ** 2
        noise = np.random.default_rng(number).normal(0, 8, (SIDE, SIDE))
        Image.fromarray((80 + 90 * bright * disc + noise).astype(np.uint8)).save(folder / f"{number}.png")
        Image.fromarray(disc).save(folder / f"{number}_mask.png")
        labels = ["Dark", "Bright"][bright], ["Small", "Large"][large]
        rows.append((f"p{number}", f"{number}.png", f"{number}_mask.png", *labels, f"g{number // 3}"))
    pd.DataFrame(rows, columns=["id", "image", "mask", "class", "size", "group"]).to_csv(
        folder / "particles.csv", index=False
    )


def test_two_label_columns_of_one_folder_run_to_the_end(tmp_path: Path) -> None:
    for name in ("lipnet", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    _made_set(tmp_path / "data/raw/discs")
    (tmp_path / "data/raw/size").mkdir()
    (tmp_path / "data/raw/size/corrections.csv").write_text("id,label\n")
    succeed(tmp_path, "git", "init", "--quiet")
    succeed(tmp_path, "dvc", "init", "--quiet")
    settings = {key: value for key, value in SMALL.items() if not key.startswith("source")}
    settings |= {"problems": ["discs", "size"], "shared": ["discs"], "networks.lipnet1": TINY_NETWORK}
    settings["classes"] = {"discs": ["Dark", "Bright"], "size": ["Small", "Large"]}
    settings["source.kind"] = "table"
    settings["source.of"] = {
        "discs": {"images_of": "discs"},
        "size": {"images_of": "discs", "class_column": "size"},
    }
    change(tmp_path, settings)
    ran = stages_run(succeed(tmp_path, "dvc", "repro"))
    assert ran.count("share") == 1 and ran.count("ingest") == ran.count("train_svm") == 2
    scores = yaml.safe_load((tmp_path / "metrics/metrics.json").read_text())
    assert set(scores) == {"discs", "size"}
    assert stages_run(succeed(tmp_path, "dvc", "repro")) == []
    with (tmp_path / "data/raw/size/corrections.csv").open("a") as file:
        file.write("p0,Large\n")
    changed = succeed(tmp_path, "dvc", "status")
    assert "ingest@size" in changed and "ingest@discs" not in changed and "share" not in changed
