"""The page that classifies crops in a browser: it agrees with `lipnet predict`, offline, opened from a file."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from typer import BadParameter
from typer.testing import CliRunner

from lipnet.cli import app, export
from lipnet.core import files
from lipnet.core.errors import InputError
from lipnet.deployment.export import describe_network
from lipnet.deployment.model_files import ImageInput
from lipnet.deployment.page import Libraries, classifier_of, make_page, read_libraries, training_range
from lipnet.deployment.rules import FILE
from lipnet.deployment.runs import PipelineRun
from lipnet.samples import crops, particles
from lipnet.sources.unlabelled import open_unlabelled
from tests.deployment.browser import chromium, make_libraries
from tests.deployment.page_run import (
    COLOURED,
    N_FOLDS,
    RULES,
    SIZE_PX,
    networks,
    page_run,
    write_crops,
    write_particles,
)

N = 200
EMPTY = Libraries("var libraries = {};", b"", "")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Libraries:
    return make_libraries(tmp_path_factory.mktemp("libraries"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_crops(folder, N)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile"), color_scheme="dark") as context:
        yield context


@pytest.fixture
def run(tmp_path: Path) -> PipelineRun:
    return page_run(tmp_path / "run", "masked", "fit")


def test_black_and_white_of_a_whole_micrograph_are_refused(tmp_path: Path) -> None:
    run = page_run(tmp_path / "run", "masked", "fit", rule="percentile", per="micrograph")
    with pytest.raises(InputError, match=r"--page: source\.grey\.per: micrograph"):
        classifier_of(run, RULES, "cnn")


class Opened(NamedTuple):
    """A page in the browser, what it wrote to the console, and the addresses that it asked for."""

    tab: Any
    messages: list[str]
    requests: list[str]


def _open(browser: Any, page: Path) -> Opened:
    tab, messages, requests = browser.new_page(), list[str](), list[str]()
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda error: messages.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    return Opened(tab, messages, requests)


def _classify(tab: Any) -> str:
    tab.click("#classify")
    tab.locator("#status", has_text=re.compile("Done|wrong")).wait_for(timeout=300_000)
    return str(tab.text_content("#status"))


def _saved(tab: Any, to: Path) -> pd.DataFrame:
    with tab.expect_download() as download:
        tab.click("#save")
    download.value.save_as(to)
    return pd.read_csv(to)


def _seen(run: PipelineRun, images: Path, masks: Path | None, padding_px: int) -> tuple[list[str], Any]:
    """Ids and crops of all particles as `lipnet predict` makes them."""
    row = {"size_px": SIZE_PX, **{key: run.params["crop"][key] for key in ("mode", "scale", "field_px")}}
    described = describe_network(run, 0)
    opened = open_unlabelled(images, masks, padding_px, [], described.micrographs, described.grey)
    found = [item for task in opened.tasks for item in opened.read(task)]
    store, ids = particles.pack(found), [item.id for item in found]  # type: ignore[misc, union-attr]
    return ids, crops.crop_all(store, ImageInput(**row).crop, ids)[SIZE_PX]


@pytest.mark.parametrize(
    ("mode", "scale", "with_masks", "padding_px", "classifier", "grey"),
    [
        ("masked", "fit", True, 0, "cnn", {}),
        ("both", "constant", True, 0, "fitted", {"rule": "percentile"}),
        ("surrounding", "fit", False, 0, "cnn_views", {"rule": "percentile", "low_percent": 1, "high_percent": 98.5}),
        ("cropped", "constant", False, 5, "shifted", {"bits": 16}),
    ],
)
def test_the_page_predicts_what_lipnet_predict_predicts(
    browser: Any, libraries: Libraries, images: Path, tmp_path: Path, mode: str, scale: str, with_masks: bool,
    padding_px: int, classifier: str, grey: dict[str, Any],
) -> None:  # fmt: skip
    run, masks = page_run(tmp_path / "run", mode, scale, **grey), images / "masks" if with_masks else None
    ids, levels = _seen(run, images / "crops", masks, padding_px)
    models = networks(run, crops.to_grey(levels))
    for fold, content in enumerate(models):
        files.write_bytes(tmp_path / f"models/cnn_fold{fold}.onnx", content)
    files.write_json(tmp_path / "models" / FILE, {**RULES.model_dump(), "rules": _without_svm()})
    words = ["--to", tmp_path / "expected.csv", "--classifier", classifier, "--abstain-below", 0.6, "--no-features"]
    words += ["--padding-px", padding_px, *(["--masks", masks] if masks else [])]
    done = CliRunner().invoke(app, list(map(str, ["predict", tmp_path / "models", images / "crops", *words])))
    assert done.exit_code == 0, done.output
    expected = pd.read_csv(tmp_path / "expected.csv")
    assert len(expected) == N and expected["class"].value_counts().min() > N / 20

    files.write_text(tmp_path / "page.html", make_page(run, RULES, classifier, libraries, models))
    tab, messages, requests = _open(browser, tmp_path / "page.html")
    tab.locator("#drop-crops input[webkitdirectory]").set_input_files(images / "crops")
    if masks:
        tab.locator("#drop-masks input[webkitdirectory]").set_input_files(masks)
    tab.fill("#padding", str(padding_px))
    tab.fill("#abstain", "0.6")
    assert _classify(tab) == f"Done: {N} particles classified, 0 files not used."
    table = _saved(tab, tmp_path / "page.csv")
    assert messages == [] and requests == [(tmp_path / "page.html").as_uri()]
    assert list(table) == [*expected, "outside"]
    assert table["id"].tolist() == expected["id"].tolist() == ids
    assert table["class"].tolist() == expected["class"].tolist()
    seen = np.array(tab.evaluate("state.rows.map((row) => [...row.levels])"), np.int64)
    coloured = np.array([int(re.findall(r"\d+", name)[-1]) % 14 in COLOURED for name in ids])
    assert_array_equal(seen[~coloured], levels.reshape(N, -1)[~coloured])
    # The luminance of some colours is half a grey level, up to the last bit of a sum.
    assert_allclose(seen[coloured], levels.reshape(N, -1)[coloured], rtol=0, atol=1)
    # Two builds of ONNX Runtime differ in the last bits of sums of 32 bits; these networks are steep.
    numbers = [name for name in expected if name not in ("id", "class")]
    assert_allclose(table[numbers], expected[numbers], rtol=0, atol=1e-5)


def _without_svm() -> dict[str, Any]:
    return {name: [fold.model_dump() for fold in folds] for name, folds in RULES.rules.items() if name != "mixed"}


@pytest.fixture
def page(run: PipelineRun, libraries: Libraries, tmp_path: Path) -> Path:
    examples = np.random.default_rng(0).uniform(0, 1, (50, SIZE_PX, SIZE_PX, 1)).astype(np.float32)
    files.write_text(tmp_path / "page.html", make_page(run, RULES, "cnn", libraries, networks(run, examples)))
    return tmp_path / "page.html"


def test_every_file_that_cannot_be_used_is_named_with_reason_and_cure(browser: Any, page: Path, tmp_path: Path) -> None:
    grey, marked = np.tile(np.arange(40, dtype=np.uint8) * 6, (40, 1)), np.full((40, 40), 255, np.uint8)
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for name in ("good", "photo", "unmasked", "small_mask", "empty_mask", "damaged"):
        Image.fromarray(grey).save(images / f"{name}.{'jpg' if name == 'photo' else 'png'}")
        if name not in ("unmasked", "photo"):
            mask = marked[: 20 if name == "small_mask" else 40] * (name != "empty_mask")
            Image.fromarray(mask).save(masks / f"{name}.png")
    whole = (images / "damaged.png").read_bytes()
    (images / "damaged.png").write_bytes(whole[:-30])
    (images / "flipped.png").write_bytes(whole[:-13] + bytes([whole[-13] ^ 1]) + whole[-12:])  # a checksum
    (images / "huge.png").write_bytes(whole[:16] + bytes([0, 1, 0, 0, 0, 1, 0, 0]) + whole[24:])
    (images / "cut.tif").write_bytes(b"II*\0\x08\0\0\0")
    tifffile.imwrite(images / "stack.tif", np.stack([grey, grey]), photometric="minisblack")
    tifffile.imwrite(images / "table.tif", grey, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    tifffile.imwrite(images / "jpeg.tif", grey, compression="jpeg")
    tifffile.imwrite(images / "nan.tif", np.full((40, 40), np.nan, np.float32))
    tab = _open(browser, page).tab
    tab.locator("#drop-crops input").first.set_input_files(sorted(images.iterdir()))
    tab.locator("#drop-masks input").first.set_input_files(sorted(masks.iterdir()))
    assert _classify(tab) == "Done: 1 particle classified, 12 files not used."
    said = dict(text.split(": ", 1) for text in tab.locator("#faults li").all_text_contents())
    assert _saved(tab, tmp_path / "out.csv")["id"].tolist() == ["good.png"]
    expected = {
        "cut.tif": "damaged, or a kind of TIFF that is not read here (",
        "damaged.png": "damaged, or a kind of PNG that is not read here (",
        "empty_mask.png": "its mask is empty; mark the particle with numbers above 0",
        "flipped.png": "damaged, or a kind of PNG that is not read here (",
        "huge.png": "65536 x 65536 px is more than a single particle; cut out the particles first",
        "jpeg.tif": "has compression 7; save it as a grey PNG of 8 or 16 bits",
        "nan.tif": "has values that are no finite numbers; save it again without them",
        "photo.jpg": "format '.jpg' is not read here; save it as PNG or TIFF",
        "small_mask.png": "its mask: 20 x 40 px, but the crop is 40 x 40 px; give masks of its size",
        "stack.tif": "has several images; save one particle in each file",
        "table.tif": "has a colour table; save it as a grey PNG of 8 or 16 bits",
        "unmasked.png": "there is no mask named 'unmasked.png'; add it, or remove all masks",
    }
    assert said.keys() == expected.keys()
    assert [said[name] for name in expected if not said[name].startswith(expected[name])] == []


def test_masks_are_estimated_and_rows_are_ordered_as_in_python(browser: Any, page: Path) -> None:
    tab = _open(browser, page).tab
    for height, width, padding_px in ((3, 90, 0), (90, 4, 1), (20, 21, 3), (1, 1, 0)):
        expected = particles.inscribed_ellipse((height, width), padding_px).astype(int).ravel().tolist()
        assert tab.evaluate("([h, w, p]) => [...ellipse(h, w, p)]", [height, width, padding_px]) == expected
    names = ["b.png", "a/b.png", "a b/c.png", "a/b/c.png", "a.png", "Z.png", "a/é.png", "a/b.pn"]
    in_python = [path.as_posix() for path in sorted(map(Path, names))]
    assert tab.evaluate("(names) => names.sort(byPath)", names) == in_python


def test_a_surrounding_that_leaves_nothing_is_refused(browser: Any, page: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "small.png")
    tab = _open(browser, page).tab
    tab.locator("#drop-crops input").first.set_input_files(tmp_path / "small.png")
    tab.fill("#padding", "15")
    assert _classify(tab) == "Done: 0 particles classified, 1 file not used."
    assert (
        tab.text_content("#faults")
        == "small.png: a surrounding of 15 px leaves nothing of 30 x 40 px; correct its width"
    )
    tab.click("#clear")
    assert tab.locator("#classify").is_disabled() and not tab.locator("#results").is_visible()


DROP = """({ zone, names, bytes }) => {
  const transfer = new DataTransfer();
  for (const name of names) transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
  const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  return document.querySelector(zone).dispatchEvent(drop);
}"""


def test_dropped_files_get_a_note_if_they_are_unlike_the_training_particles(
    browser: Any, page: Path, tmp_path: Path
) -> None:
    Image.fromarray(np.full((10, 120), 250, np.uint8)).save(tmp_path / "bright.png")
    tab = _open(browser, page).tab
    content = {"zone": "#drop-crops", "names": ["x, y.png", "=1.png"]}
    content["bytes"] = list((tmp_path / "bright.png").read_bytes())
    tab.evaluate(DROP, content)
    tab.evaluate(DROP, content | {"names": ["=1.png"]})
    goes_on = tab.evaluate(DROP, content | {"zone": "body", "names": ["beside.png"]})
    assert not goes_on  # the browser would show the file instead of the page
    tab.locator("#n-crops", has_text="2 files").wait_for()
    assert _classify(tab) == "Done: 2 particles classified, 1 file not used."
    assert "=1.png: there is another file of this name" in tab.text_content("#faults")
    table = _saved(tab, tmp_path / "out.csv")
    assert table["id"].tolist() == ["=1.png", "x, y.png"]
    assert table["outside"].tolist() == ["width_px; grey_mean"] * 2
    words = "width_px 120 (training: 30 to 100); grey_mean 0.98 (training: 0.196 to 0.746)"
    assert tab.locator("#table td.note").all_text_contents() == [words] * 2
    notes = tab.locator("#notes li").all_text_contents()
    assert notes[0] == "2 particles without a mask, which the model needs; an ellipse was used instead."
    assert notes[1].startswith("No surrounding was given, but the training particles had one of 5 px.")
    assert notes[2].startswith("2 particles outside the range of the training particles")
    tab.select_option("#order", "uncertain")
    assert tab.locator("#table tbody tr").count() == 2


def test_the_page_fits_a_narrow_window_and_follows_the_dark_mode(browser: Any, page: Path, images: Path) -> None:
    tab = _open(browser, page).tab
    tab.set_viewport_size({"width": 390, "height": 900})
    tab.locator("#drop-crops input").first.set_input_files(sorted((images / "crops").glob("*.png"))[:3])
    _classify(tab)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    background = tab.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background))) < 80
    assert tab.locator("#table canvas").count() == 3


def test_the_page_asks_for_nothing_and_allows_no_other_script(run: PipelineRun) -> None:
    text = make_page(replace(run, changed=["params.yaml: seed"]), RULES, "cnn", EMPTY, [b"1", b"2"])
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "script-src 'wasm-unsafe-eval' 'sha256-" in policy and "unsafe-inline" not in policy
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text)
    assert "Out of date.</strong> Changed since the models were trained: params.yaml: seed" in text
    assert text == make_page(replace(run, changed=["params.yaml: seed"]), RULES, "cnn", EMPTY, [b"1", b"2"])


def test_a_page_is_for_networks_and_rules_on_them(run: PipelineRun) -> None:
    assert classifier_of(run, RULES, None) == "cnn"
    assert classifier_of(run, RULES, "fitted") == "fitted"
    usable = "choose one with --classifier: cnn, cnn_views, shifted, fitted"
    for name, reason in {
        "svm": "it needs measured features, and a page measures none",
        "mixed": "it needs measured features, and a page measures none",
        "head": "the run does not keep it",
        "nothing": "the run has no such classifier",
    }.items():
        with pytest.raises(InputError, match=f"^--page: '{name}' cannot be used: {reason}; {usable}$"):
            classifier_of(run, RULES, name)
    with pytest.raises(InputError, match="'svm' cannot be used"):
        classifier_of(run, RULES.model_copy(update={"recommended": "svm"}), None)


def test_a_network_with_joined_features_is_refused(run: PipelineRun) -> None:
    run.params["train_cnn"]["join"]["features"] = ["height_px"]
    with pytest.raises(InputError, match="joined features"):
        classifier_of(run, RULES, "cnn")


def test_the_training_range_is_of_the_boxes_and_of_the_grey_levels_inside_the_masks(run: PipelineRun) -> None:
    striped = np.tile(np.array([9, 102, 51, 102, 51, 255], np.uint8), (6, 1))  # inside the mask half 0.4, half 0.2
    write_particles(run.root, [np.full((4, 4), 51, np.uint8), striped])
    low, high = 0.2, 0.301  # rounded outwards
    assert training_range(run) == [
        ("height_px", 10, 10),
        ("width_px", 30, 100),
        ("grey_mean", pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3)),
        ("grey_sd", 0, pytest.approx(0.1, abs=1.1e-3)),
    ]


def test_missing_libraries_are_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"libraries.js: no such file; `make page-libraries` makes it"):
        read_libraries(tmp_path)


def test_export_needs_a_folder_or_a_page(tmp_path: Path) -> None:
    with pytest.raises(BadParameter, match="give a folder, or --page FILE"):
        export("vesicles")
    with pytest.raises(BadParameter, match="for --page only"):
        export("vesicles", to=tmp_path, classifier="cnn")


def test_the_command_writes_the_page_alone(run: PipelineRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([(f"cnn_fold{fold}.onnx", bytes([fold])) for fold in range(N_FOLDS)])
    monkeypatch.setattr("lipnet.deployment.export.export_networks", lambda _run, _references: made)
    folder = run.root / "build/page"
    for name in ("libraries.js", "licences.txt", "runtime.wasm"):
        files.write_text(folder / name, f"/* {name} */")
    export("vesicles", page=tmp_path / "page.html", classifier="cnn", run=run.root)
    text = (tmp_path / "page.html").read_text()
    assert "/* libraries.js */" in text and text.count('id="model-') == N_FOLDS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run"]
