"""Source particles: the thesis's JSON layout is read in all forms that pandas writes, and written without loss."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lipnet.core.errors import InputError
from lipnet.samples.features import FeatureSettings, edge_grid_px, in_nanometres, measure_all, radial_grid_px
from lipnet.samples.particles import Particle, pack
from lipnet.sources.artificial.micrographs import plan_micrographs, render_micrograph
from lipnet.sources.artificial.settings import ArtificialSettings
from lipnet.sources.particles import list_tasks, read_task, write_particles
from lipnet.sources.rows import Rejected
from lipnet.sources.settings import ParticlesSettings
from tests.sources.grey import AS_STORED

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
LAYOUT = ParticlesSettings.model_validate(PARAMS["source"]["particles"])
UNMEASURED = LAYOUT.model_copy(update={"given_features": False})
MEASURES = FeatureSettings.model_validate(PARAMS["features"])
CLASSES = ("Unilamellar", "Multilamellar", "Uncertain")
IMAGE = np.random.default_rng(0).integers(60, 200, (40, 44)).astype(np.uint8)
MASK = np.zeros((40, 44), np.uint8)
MASK[10:30, 12:34] = 255
RECORD = {
    "Id": 17,
    "Class": 3,
    "Image": "a.jpg",
    "Padding": 10,
    "Area": 1760.0,
    "Circularity": 0.8,
    "Perimeter": 168.0,
    "Length": 60.0,
    "MaximumWidth": 59.0,
    "DiametersInPixels": 30.0,
    "SignalToNoise": 1.5,
    "Moments": [1.0, 2.0, 3.0, 4.0],
    "Histogram": [8] * 32,
    "RadialDensityProfile": [[0.9, 0.0], [0.5, 20.0], [0.1, 1000.0]],
    "EdgeDensityProfile": [[0.1, -100.0], [0.3, 0.0], [0.7, 8.0]],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part, pixels in (("images", IMAGE), ("masks", MASK)):
        (tmp_path / part).mkdir()
        Image.fromarray(pixels).save(tmp_path / part / "a.jpg", quality=90)
    return tmp_path


def _read(folder: Path, content: Any, settings: ParticlesSettings = LAYOUT) -> list[Particle | Rejected]:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "particles.json").write_text(text, encoding="utf-8")
    tasks, rejected = pickle.loads(pickle.dumps(list_tasks(folder, settings, AS_STORED)))
    return [
        *(item for task in tasks for item in read_task(task, folder, CLASSES, settings, MEASURES, AS_STORED)),
        *rejected,
    ]


def _particle(folder: Path, settings: ParticlesSettings = LAYOUT, **changes: Any) -> Particle:
    [result] = _read(folder, [RECORD | changes], settings)
    assert isinstance(result, Particle), result
    return result


def _rejected(folder: Path, settings: ParticlesSettings = LAYOUT, **changes: Any) -> Rejected:
    [result] = _read(folder, [RECORD | changes], settings)
    assert isinstance(result, Rejected)
    assert result.row == 0
    return result


def test_a_record_becomes_a_particle_with_its_features_in_their_units(folder: Path) -> None:
    particle = _particle(folder)
    assert (particle.id, particle.label, particle.padding_px, particle.pixel_size_nm) == ("17", "Unilamellar", 10, 2.0)
    assert not particle.mask_estimated
    expected = {"area_nm2": 1760.0, "perimeter_nm": 168.0, "maximum_width_nm": 59.0, "length_nm": 60.0}
    expected |= {"diameter_px": 30.0, "circularity": 0.8, "signal_to_noise": 1.5}
    expected |= {"moment_mu20_px2": 1.0, "moment_mu02_px2": 2.0, "moment_mu30_px3": 3.0, "moment_mu03_px3": 4.0}
    assert {name: particle.features[name] for name in expected} == expected
    assert [particle.features[f"histogram_{number:02d}"] for number in range(32)] == [1 / 32] * 32


def test_a_jpeg_mask_is_cut_at_half_white_so_that_ringing_does_not_widen_it(folder: Path) -> None:
    np.testing.assert_array_equal(_particle(folder).mask, MASK > 0)


def test_given_profiles_are_resampled_to_the_grids_of_the_measured_ones(folder: Path) -> None:
    particle = _particle(folder)
    radial = [particle.features[f"radial_density_profile_{number:02d}"] for number in range(MEASURES.radial_bins)]
    grid_nm = radial_grid_px(float(particle.mask.sum()), MEASURES) * 2.0
    assert radial == pytest.approx(np.interp(grid_nm, [0, 20, 1000], [0.9, 0.5, 0.1]))
    edge = [particle.features[f"edge_density_profile_{number:02d}"] for number in range(MEASURES.edge_bins)]
    assert edge == pytest.approx(np.interp(edge_grid_px(MEASURES) * 2.0, [-100, 0, 8], [0.1, 0.3, 0.7]))


@pytest.mark.parametrize(
    ("code", "label"), [(3, "Unilamellar"), (4.0, "Multilamellar"), ("5", "Uncertain"), ("Uncertain", "Uncertain")]
)
def test_classes_are_codes_or_names(folder: Path, code: Any, label: str) -> None:
    assert _particle(folder, Class=code).label == label


@pytest.mark.parametrize("orient", ["records", "columns"])
def test_both_layouts_that_pandas_reads_are_read(folder: Path, orient: Any) -> None:
    frame = pd.DataFrame([RECORD, RECORD | {"Id": "b", "Class": 4}, RECORD | {"Id": "c", "Image": "gone.jpg"}])
    found = _read(folder, frame.to_json(orient=orient))
    assert [item.id for item in found] == ["17", "b", "c"]
    assert isinstance(found[0], Particle)
    assert isinstance(found[2], Rejected)
    assert len(pd.read_json(folder / "particles.json")) == 3


def test_a_row_that_one_column_lacks_is_still_a_row(folder: Path) -> None:
    columns = {name: {"0": value, "1": value} for name, value in RECORD.items()}
    columns["Id"] = {"0": 17}
    found = _read(folder, columns)
    assert isinstance(found[0], Particle)
    assert isinstance(found[1], Rejected)
    assert found[1].column == "Id"


def test_without_given_features_a_record_needs_no_more_than_its_image(folder: Path) -> None:
    bare = {name: RECORD[name] for name in ("Id", "Class", "Image", "Padding")}
    [particle] = _read(folder, [bare], UNMEASURED)
    assert isinstance(particle, Particle)
    assert particle.features == {}
    assert math.isnan(particle.pixel_size_nm)
    assert _particle(folder, UNMEASURED).pixel_size_nm == 2.0


def test_particles_without_a_group_are_groups_of_their_own(folder: Path) -> None:
    one, two = _read(folder, [RECORD, RECORD | {"Id": 18}])
    assert isinstance(one, Particle)
    assert isinstance(two, Particle)
    assert one.group != two.group
    assert _particle(folder, Group="field 7").group == "field 7"


@pytest.mark.parametrize(
    ("changes", "column", "message"),
    [
        ({"Class": 7}, "Class", "Class 'Empty' is not one of Unilamellar, Multilamellar, Uncertain"),
        ({"Class": None}, "Class", "Class is None: Input should be a valid string"),
        ({"Id": None}, "Id", "Id is None"),
        ({"Id": ""}, "Id", "Id is ''"),
        ({"Image": "gone.jpg"}, "Image", "gone.jpg: no such file"),
        ({"Image": "../a.jpg"}, "Image", "no such file"),
        ({"Image": "../../a.jpg"}, "Image", "leaves the data folder"),
        ({"Padding": -1}, "Padding", "Padding is -1"),
        ({"Padding": 20}, "Padding", r"Padding is 20, which leaves nothing of \(40, 44\) px"),
        ({"Area": "NaN"}, "Area", "Area is 'NaN': Input should be a finite number"),
        ({"Length": 0}, "Length", "Length is 0: Input should be greater than 0"),
        ({"Moments": [1, 2, 3]}, "Moments", "Moments is .*at least 4 items"),
        ({"Histogram": [1] * 31}, "Histogram", "Histogram has 31 values but features.histogram_bins is 32"),
        ({"Histogram": [0] * 32}, "Histogram", "Histogram is all 0"),
        ({"RadialDensityProfile": []}, "RadialDensityProfile", "RadialDensityProfile is .*at least 1 item"),
        ({"EdgeDensityProfile": [[1, 2], [3]]}, "EdgeDensityProfile", r"EdgeDensityProfile\[1\]\[1\] is missing"),
        ({"EdgeDensityProfile": None}, "EdgeDensityProfile", "EdgeDensityProfile is None"),
    ],
)
def test_every_fault_names_its_column(folder: Path, changes: dict[str, Any], column: str, message: str) -> None:
    fault = _rejected(folder, **changes)
    assert fault.column == column
    assert pd.Series([fault.reason]).str.contains(message).all(), fault.reason


def test_a_missing_mask_and_one_of_another_size_are_named(folder: Path) -> None:
    Image.fromarray(MASK[1:]).save(folder / "masks" / "a.jpg")
    assert _rejected(folder).reason == "a.jpg: the mask is (39, 44) px but the image is (40, 44) px"
    (folder / "masks" / "a.jpg").unlink()
    fault = _rejected(folder)
    assert (fault.column, fault.reason) == ("mask", "a.jpg: no such file")


def test_a_missing_feature_is_named_with_the_setting_that_does_without(folder: Path) -> None:
    record = {name: value for name, value in RECORD.items() if name != "Perimeter"}
    [fault] = _read(folder, [record])
    assert isinstance(fault, Rejected)
    assert (fault.column, fault.reason) == ("Perimeter", "Perimeter is missing")


def test_duplicate_ids_and_what_is_no_record_are_rejected_and_the_rest_is_read(folder: Path) -> None:
    found = _read(folder, [RECORD, 5, RECORD, [], RECORD | {"Id": "17"}, RECORD | {"Id": 18}, None])
    assert [item.id for item in found if isinstance(item, Particle)] == ["17", "18"]
    rejected = {item.row: item.reason for item in found if isinstance(item, Rejected)}
    assert set(rejected) == {1, 2, 3, 4, 6}
    assert rejected[2] == rejected[4] == "Id '17' is a duplicate of record 0; Ids must be unique"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON in UTF-8"),
        ("[{]", "not JSON in UTF-8"),
        ("[" * 100_000, "not JSON in UTF-8"),
        ('{"Id": {"0": 1, "0": 2}}', r"not JSON in UTF-8 \('0' occurs twice in one object\)"),
        ("5", "expected a list of records, or columns"),
        ('{"a": 1}', "expected a list of records, or columns"),
    ],
)
def test_what_is_no_such_file_is_refused_with_the_cure(folder: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"particles.json: {message}"):
        _read(folder, text)


def test_no_file_is_named_with_the_cure(folder: Path) -> None:
    with pytest.raises(InputError, match=r"particles\.json: no such file; .* set source\.folder"):
        list_tasks(folder, LAYOUT, AS_STORED)


def test_what_is_written_is_read_back_with_the_features_of_the_particles(tmp_path: Path) -> None:
    drawn = {"n_particles": 12, "min_per_class": 4, "particles_per_micrograph": 4}
    settings = ArtificialSettings.model_validate(PARAMS["source"]["artificial"] | drawn)
    plans = plan_micrographs("lamellarity", settings, 1)
    particles = [particle for plan in plans for particle in render_micrograph(plan, settings)]
    found = _read(tmp_path, write_particles(tmp_path, particles, LAYOUT, MEASURES))
    assert all(isinstance(item, Particle) for item in found)
    sizes_nm = np.array([particle.pixel_size_nm for particle in particles])
    measured = in_nanometres(measure_all(pack(particles), MEASURES), sizes_nm)
    for number, (particle, back) in enumerate(zip(particles, found, strict=True)):
        assert isinstance(back, Particle)
        assert (back.id, back.label, back.group) == (particle.id, particle.label, particle.group)
        assert back.pixel_size_nm == pytest.approx(particle.pixel_size_nm)
        np.testing.assert_array_equal(back.mask, particle.mask)
        assert np.abs(back.image.astype(float) - particle.image).mean() < 3
        expected = measured.loc[number, list(back.features)]
        scalars = [name for name in back.features if "profile" not in name]
        assert pd.Series(back.features)[scalars].to_numpy() == pytest.approx(expected[scalars].to_numpy())
        # Resampling twice smooths a profile a little.
        assert pd.Series(back.features).to_numpy() == pytest.approx(expected.to_numpy(), abs=0.03)


def test_names_are_compared_in_one_spelling(folder: Path) -> None:
    (folder / "images/a.jpg").rename(folder / "images/e\u0301.JPG")
    (folder / "masks/a.jpg").rename(folder / "masks/\u00e9.jpg")
    record = RECORD | {
        "Id": " e\u0301",
        "Class": "Unilamellar\u00a0",
        "Image": "\u00e9.jpg ",
        "Group": "\ufeffm\u00a01 ",
    }
    [particle, again] = _read(folder, [record, record | {"Id": "\u00e9"}])
    assert isinstance(particle, Particle), particle
    assert (particle.id, particle.label, particle.group) == ("\u00e9", "Unilamellar", "m 1")
    assert isinstance(again, Rejected) and again.reason == "Id '\u00e9' is a duplicate of record 0; Ids must be unique"


@pytest.mark.parametrize("empty", [dict.fromkeys(RECORD), dict.fromkeys(RECORD, ""), dict.fromkeys(RECORD, "\u00a0 ")])
def test_records_without_content_are_passed_over_and_the_others_keep_their_numbers(folder: Path, empty: Any) -> None:
    found = _read(folder, [empty, RECORD, empty, RECORD | {"Image": "gone.jpg", "Id": 2}])
    assert [type(item) for item in found] == [Particle, Rejected]
    assert isinstance(found[1], Rejected) and found[1].row == 3


@pytest.mark.parametrize("record", [{}, {"Id": None, "Note": "x"}, {"Id": 0}])
def test_other_records_that_lack_values_are_rejected(folder: Path, record: Any) -> None:
    [found] = _read(folder, [record])
    assert isinstance(found, Rejected)


@pytest.mark.parametrize("masks", ["masks", "images"])
def test_masks_may_be_in_the_folder_of_the_images_as_cellpose_saves_them(folder: Path, masks: str) -> None:
    settings = LAYOUT.model_copy(update={"masks": masks})
    (folder / "masks/a.jpg").unlink()
    fault = _rejected(folder, settings)
    assert fault.reason in {
        "a.jpg: no such file",
        "a.jpg: has no mask; with one folder for both, save it as STEM_cp_masks.png",
    }
    Image.fromarray(MASK // 255).save(folder / "images/a_cp_masks.png")
    np.testing.assert_array_equal(_particle(folder, settings).mask, MASK > 0)
