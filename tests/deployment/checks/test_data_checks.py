"""Data with one planted fault each: the finding names it and says what to change; clean data have none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from numpy.typing import NDArray
from PIL import Image

from lipnet.core import dvc_lock, files
from lipnet.core.settings import parse, read_params
from lipnet.deployment.checks.data_checks import MOST_IMAGES, Finding, look_at
from lipnet.samples import particles
from lipnet.samples.features import FeatureSettings
from lipnet.samples.particles import Particle
from lipnet.sources import ingest
from lipnet.sources.settings import SourceSettings

ROOT = Path(__file__).parents[3]
CLASSES = ["A", "B"]
N, SIDE = 24, 40


def params_of(folder: Path, **changes: Any) -> dict[str, Any]:
    params = read_params(ROOT / "params.yaml") | {"problems": ["mine"], "classes": {"mine": CLASSES}}
    params["source"] |= {"kind": "table", "folder": str(folder)}
    params["split"]["folds"] = 3
    params["train_svm"]["calibration_folds"] = 3
    for dotted, value in changes.items():
        section, key = dotted.split("__")
        params[section][key] = value
    return params


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)


def disc(radius: float = 12.0) -> NDArray[np.bool_]:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    return x**2 + y**2 < radius**2


def make(
    folder: Path,
    image: Callable[[int], NDArray[Any]] = picture,
    mask: Callable[[int], NDArray[np.bool_]] = lambda _: disc(),
    n: int = N,
    **columns: Any,
) -> Path:
    """A data folder of kind table; columns replace those of its table."""
    own = folder / "mine"
    own.mkdir(parents=True)
    for number in range(n):
        tifffile.imwrite(own / f"{number}.tif", image(number))
        Image.fromarray(mask(number)).save(own / f"{number}.png")
    numbers = range(n)
    table = {"id": [f"p{number}" for number in numbers], "class": [CLASSES[number % 2] for number in numbers]}
    table |= {"image": [f"{number}.tif" for number in numbers], "mask": [f"{number}.png" for number in numbers]}
    pd.DataFrame(table | {"padding_px": 5} | columns).to_csv(own / "particles.csv", index=False)
    return folder


def findings(root: Path, params: dict[str, Any]) -> list[Finding]:
    return look_at(params, "mine", root)[1]


def test_nothing_is_found_in_clean_data(tmp_path: Path) -> None:
    seen, found = look_at(params_of(make(tmp_path)), "mine", tmp_path)
    assert found == []
    assert seen == f"{tmp_path / 'mine'}: 24 particles, 24 images"


def test_a_folder_that_is_not_absolute_is_in_the_folder_of_the_pipeline(tmp_path: Path) -> None:
    make(tmp_path / "data/raw")
    assert findings(tmp_path, params_of(Path("data/raw"))) == []


def flat(number: int) -> NDArray[np.uint8]:
    return (picture(number) // 8 + 100).astype(np.uint8)


def deep(number: int) -> NDArray[Any]:
    return picture(number) if number % 2 else np.random.default_rng(number).integers(0, 4096, (SIDE, SIDE), np.uint16)


@pytest.mark.parametrize(
    ("made", "settings", "text", "stops"),
    [
        ({"mask": lambda _: ~disc()}, {}, "24 of 24 masks look inverted", False),
        ({"mask": lambda _: disc(40.0)}, {}, "24 of 24 masks look inverted", False),
        ({"mask": lambda _: disc(20.0)}, {}, "24 of 24 masks touch all four borders", False),
        ({"image": flat}, {}, "8-bit images use only 32 of 256 grey levels", False),
        ({"image": deep}, {}, "12 of 24 images use at most a sixteenth of the grey levels (first: p0)", False),
        (
            {"image": lambda number: picture(number // 3)},
            {},
            "16 images are copies of others (first: p1 of p0), ",
            False,
        ),
        ({"class": ["A"] * (N - 2) + ["B"] * 2}, {}, "class 'B' has 2 particles, fewer than the 3 folds", True),
        (
            {"group": [number % 2 for number in range(N)]},
            {},
            "class 'A' lies in 1 groups, fewer than",
            True,
        ),
        ({"class": ["A"] * (N - 1) + ["C"]}, {}, "1 of 24 particles have a class that is not in classes.mine: C", True),
        ({"image": lambda _: picture(1)[:20]}, {}, "24 of 24 rows that were looked at cannot be used", True),
        (
            {},
            {"inner__classifiers": ["svm"], "inner__folds": 9},
            "class 'A' lies in about 8 groups of",
            True,
        ),
        (
            {},
            {"train_svm__calibration_folds": 9},
            "class 'A' has about 8 training particles",
            False,
        ),
        (
            {},
            {"crop__scale": "constant", "crop__field_px": 20},
            "24 of 24 particles are larger than",
            True,
        ),
        ({}, {"crop__scale": "constant", "crop__field_px": 400}, "details below 14.3 px are lost", False),
        ({"mask": lambda _: disc(5.0)}, {}, "enlarging adds no detail", False),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, made: Any, settings: Any, text: str, stops: bool) -> None:
    found = findings(tmp_path, params_of(make(tmp_path, **made), **settings))
    [one] = [finding for finding in found if text in finding.text]
    assert one.stops == stops


def test_only_some_images_of_a_large_source_are_opened(tmp_path: Path) -> None:
    n = 2 * MOST_IMAGES
    make(tmp_path, n=1, id=["p0"])
    rows = {"id": range(n), "class": [CLASSES[number % 2] for number in range(n)], "image": "0.tif", "mask": "0.png"}
    pd.DataFrame(rows).to_csv(tmp_path / "mine/particles.csv", index=False)
    seen, found = look_at(params_of(tmp_path), "mine", tmp_path)
    assert seen.endswith(f"{n} particles, {MOST_IMAGES} images")
    assert "199 images are copies of others" in found[0].text


def test_without_files_the_message_says_so(tmp_path: Path) -> None:
    [one] = findings(tmp_path, params_of(tmp_path))
    assert one.stops and "particles.csv: no such file" in one.text
    seen, found = look_at(params_of(tmp_path, source__kind="artificial"), "mine", tmp_path)
    assert found == [] and "nothing to look at" in seen


def test_micrographs_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    rows = []
    for number in range(8):
        tifffile.imwrite(
            tmp_path / f"mine/{number}.tif", np.random.default_rng(number).integers(0, 255, (90, 90), np.uint8)
        )
        rows += [(f"{number}.tif", 5 + 30 * index, 5, 25, 25, CLASSES[index]) for index in range(2)]
    columns = ["micrograph", "x_px", "y_px", "width_px", "height_px", "class"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "mine/particles.csv", index=False)
    seen, found = look_at(params_of(tmp_path, source__kind="micrographs"), "mine", tmp_path)
    assert found == [] and seen.endswith("16 particles, 8 images")  # 4 of 8 micrographs
    few = findings(tmp_path, params_of(tmp_path, source__kind="micrographs", split__folds=9))
    assert [one.stops for one in few] == [True, True] and "class 'A' has 8 particles" in few[0].text


def test_the_json_layout_is_looked_at(tmp_path: Path) -> None:
    own = tmp_path / "mine"
    for name in ("images", "masks"):
        (own / name).mkdir(parents=True)
    records = []
    for number in range(12):
        Image.fromarray(picture(number)).save(own / f"images/{number}.png")
        Image.fromarray(disc()).save(own / f"masks/{number}.png")
        records.append({"Id": number, "Image": f"{number}.png", "Padding": 5, "Class": 1.0 + number % 2})
    files.write_json(own / "particles.json", records)
    params = params_of(tmp_path, source__kind="particles")
    params["source"]["particles"] |= {"given_features": False, "class_codes": {"1": "A", "2": "B"}}
    seen, found = look_at(params, "mine", tmp_path)
    assert found == [] and seen.endswith("12 particles, 12 images")


def write_ingested(root: Path, n: int = N, kind: str = "table") -> None:
    """The outputs of stage ingest."""
    made = [Particle(f"p{i}", CLASSES[i % 2], f"g{i}", picture(i), disc(), padding_px=5) for i in range(n)]
    measures = params_of(root)["features"]
    batch = ingest.read_batch(None, lambda _: made, FeatureSettings(**measures), {})
    table, _ = ingest.join([batch])
    files.write_table(root / "data/particles/mine.csv", table)
    source = parse(SourceSettings, params_of(root, source__kind=kind)["source"], "source")
    block = particles.to_arrays(particles.pack(made)) | source.made_by
    files.write_blocks(root / "data/particles/mine.npz", [block])


def test_a_store_of_another_rule_of_grey_levels_is_refused(tmp_path: Path) -> None:
    params = params_of(make(tmp_path))
    write_ingested(tmp_path)
    params["source"]["grey"] = params["source"]["grey"] | {"rule": "percentile"}
    [one] = findings(tmp_path, params)
    assert one.stops and "mine.npz: made with source.grey = " in one.text and "run `dvc repro`" in one.text


def test_images_that_use_few_of_their_16_bits_are_named(tmp_path: Path) -> None:
    params = params_of(make(tmp_path, image=lambda number: picture(number).astype(np.uint16) * 16))
    [one] = findings(tmp_path, params)
    assert not one.stops and "12 bits: set source.grey.bits" in one.text
    params["source"]["grey"] = params["source"]["grey"] | {"bits": 12}
    assert findings(tmp_path, params) == []


def test_after_ingest_its_outputs_are_looked_at(tmp_path: Path) -> None:
    write_ingested(tmp_path, kind="artificial")
    seen, found = look_at(params_of(tmp_path, source__kind="artificial"), "mine", tmp_path)
    assert found == [] and seen.endswith("mine.csv: 24 particles, 24 images")
    write_ingested(tmp_path)
    path = tmp_path / "data/particles/mine.csv"
    table = files.read_table(path)
    table.loc[3, "circularity"] = np.nan
    files.write_table(path, table.drop(columns="signal_to_noise"))
    found = findings(tmp_path, params_of(tmp_path))
    assert [one.stops for one in found] == [True, True]
    assert "train_trees.models.trees.features: params.yaml: feature 'signal_to_noise'" in found[0].text
    assert found[1].text.startswith("feature circularity has no finite value for 1 particles")
    files.write_table(path, table.head(20))
    assert "holds 24 particles but the table 20" in findings(tmp_path, params_of(tmp_path))[0].text


def test_images_of_another_folder_are_looked_at_by_their_own_labels(tmp_path: Path) -> None:
    make(tmp_path, shape=[["round", "long"][number // 2 % 2] for number in range(N)]).joinpath("mine").rename(
        tmp_path / "cells"
    )
    params = params_of(tmp_path, source__of={"mine": {"images_of": "cells", "class_column": "shape"}})
    params["classes"] = {"mine": ["round", "long"]}
    [one] = findings(tmp_path, params)
    assert one.stops and "mine: no such folder; make it" in one.text
    (tmp_path / "mine").mkdir()
    assert findings(tmp_path, params) == []


def test_params_are_not_changed(tmp_path: Path) -> None:
    params = params_of(make(tmp_path))
    before = yaml.safe_dump(params)
    look_at(params, "mine", tmp_path)
    assert yaml.safe_dump(params) == before


@pytest.mark.parametrize("what", ["data", "settings", "nothing"])
def test_what_changed_since_ingest_is_looked_at_in_the_raw_data(tmp_path: Path, what: str) -> None:
    params = params_of(make(tmp_path / "raw"))
    write_ingested(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    recorded = params["source"] | ({"class_column": "label"} if what == "settings" else {})
    deps = [{"path": "raw/mine", "md5": dvc_lock.md5_of(tmp_path / "raw/mine")}]
    record = {"deps": deps, "params": {"params.yaml": {"source": recorded}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"ingest@mine": record}}))
    if what == "data":
        with (tmp_path / "raw/mine/particles.csv").open("a") as table:
            table.write("p99,,99.tif,99.png,5\n")
    seen, found = look_at(params, "mine", tmp_path)
    assert seen.startswith(str(tmp_path / "data/particles/mine.csv")) == (what == "nothing")
    assert bool(found) == (what == "data")
