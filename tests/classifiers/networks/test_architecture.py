"""The LipNets: parameter counts by hand, shapes, and that each setting reaches the layers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from pydantic import ValidationError

from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings
from lipnet.core.errors import InputError
from lipnet.core.settings import parse, read_params

ROWS = {
    name: parse(NetworkSettings, row, f"networks.{name}")
    for name, row in read_params(Path(__file__).parents[3] / "params.yaml")["networks"].items()
}
NARROW_RESNET: dict[str, Any] = {
    **ROWS["resnet18"].model_dump(),
    "stem": 3,
    "blocks": [[3, 3], [5, 5]],
}
TINY = NetworkSettings(size_px=8, blocks=[[6, 7], [8]], halve="pool", top="dense", dense_units=9)


def _regularisation(**changes: Any) -> RegularisationSettings:
    plain = {
        "dropout_block": 0.25,
        "dropout_dense": 0.5,
        "dropout_decay": 1.0,
        "weight_decay": 0.0,
        "batch_norm": False,
    }
    return RegularisationSettings.model_validate({**plain, **changes})


def _build(network: NetworkSettings = TINY, n_classes: int = 3, mid_grey: float = 0.5, **changes: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(network, n_classes, ModelOptions(_regularisation(**changes), mid_grey))


def _tiny(**changes: Any) -> NetworkSettings:
    row = {**TINY.model_dump(), **changes}
    return NetworkSettings.model_validate(row | ({"dense_units": None} if row["top"] in ("average", "masked") else {}))


def _images(n: int, size_px: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((n, size_px, size_px, 1), dtype=np.float32)


# Convolution: 9 in out + out; dense: in out + out. In the order of the layers, K = 3.
PARAMETERS = {
    "lipnet1": 320 + (14 * 14 * 32 * 512 + 512) + 1539,
    "lipnet2": 320 + 18_496 + (7 * 7 * 64 * 512 + 512) + 1539,
    "lipnet4": 320 + 9248 + 18_496 + 36_928 + (7 * 7 * 64 * 512 + 512) + 1539,
    "lipnet4c": 320 + 9248 + 9248 + 18_496 + 36_928 + 36_928 + (64 * 3 + 3),
    "lipnet6": 320 + 9248 + 18_496 + 36_928 + 73_856 + 147_584 + (4 * 4 * 128 * 512 + 512) + 1539,
}


@pytest.mark.parametrize(
    ("name", "size_px", "n_parameters"),
    [
        ("lipnet1", 28, 3_213_635),
        ("lipnet2", 28, 1_626_499),
        ("lipnet4", 28, 1_672_675),
        ("lipnet4c", 28, 111_363),
        ("lipnet6", 32, 1_337_059),
    ],
)
def test_lipnets_have_the_parameters_counted_by_hand(name: str, size_px: int, n_parameters: int) -> None:
    assert PARAMETERS[name] == n_parameters
    model = _build(ROWS[name])
    assert model.count_params() == n_parameters
    assert model.input_shape == (None, size_px, size_px, 1)
    assert model.output_shape == (None, 3)


def test_the_table_holds_the_five_lipnets_and_two_that_are_not_the_thesiss() -> None:
    assert list(ROWS) == [*PARAMETERS, "resnet18", "lipnet_fcn"]


# Convolutions of a block, i channels in and c out, without biases: 9 i c + 3 * 9 c c, and i c where a bridge widens.
STEM = 9 * 64
STAGES = 4 * 9 * 64**2 + sum(9 * c * c // 2 + 3 * 9 * c * c + c * c // 2 for c in (128, 256, 512))
NORMALISED = 64 + 4 * 64 + 5 * (128 + 256 + 512)  # channels: two weights are trained, two are averages


def test_resnet18_has_the_parameters_of_the_paper() -> None:
    """11,173,962 are those of the usual one for CIFAR-10: three channels in, ten classes."""
    model = _build(ROWS["resnet18"])
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == STEM + STAGES + 2 * NORMALISED + 3 * 512 + 3
    assert trained == 11_173_962 - 2 * STEM - 7 * 513
    assert model.count_params() - trained == 2 * NORMALISED
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert sum(layer.kernel_size == (3, 3) for layer in convolutions) == 17
    assert {layer.name for layer in convolutions if layer.strides == (2, 2)} == {
        f"conv{block}_1{name}" for block in (2, 3, 4) for name in ("", "_bridge")
    }
    maps = [layer.output.shape[1] for layer in convolutions]
    assert list(dict.fromkeys(maps)) == [32, 16, 8, 4]


def test_a_narrow_resnet_normalises_whatever_regularisation_says_and_halves_at_entries() -> None:
    row = {**NARROW_RESNET, "size_px": 8}
    model = _build(NetworkSettings.model_validate(row), batch_norm=False)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers) == 1 + 2 + 2 + 1
    assert model.get_layer("conv1_2_norm").output.shape[1:] == (8, 8, 3)
    assert model.get_layer("conv2_1_bridge_norm").output.shape[1:] == (4, 4, 5)
    plain = NetworkSettings.model_validate({**row, "residual": False, "size_px": 4, "blocks": [[2], [2], [2]]})
    assert _build(plain).get_layer("conv3_1_norm").output.shape[1:] == (1, 1, 2)  # halved twice only


@pytest.mark.parametrize("halve", ["pool", "stride"])
@pytest.mark.parametrize("top", ["dense", "average"])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_outputs_are_probabilities_of_every_class(halve: str, top: str, n_classes: int) -> None:
    found = np.asarray(_build(_tiny(halve=halve, top=top), n_classes)(_images(5, 8)))
    assert found.shape == (5, n_classes)
    assert found.min() > 0
    assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert len(np.unique(found[:, 0])) == 5


def test_lipnet4_halves_28_to_14_to_7() -> None:
    for name in ("lipnet4", "lipnet4c"):
        sides = [layer.output.shape[1] for layer in _build(ROWS[name]).layers if len(layer.output.shape) == 4]
        assert list(dict.fromkeys(sides)) == [28, 14, 7]


def test_a_strided_network_has_no_pooling_and_the_average_top_no_dense_layer() -> None:
    kinds = {type(layer).__name__ for layer in _build(ROWS["lipnet4c"]).layers}
    assert not kinds & {"MaxPooling2D", "Dense", "Flatten"}
    assert "GlobalAveragePooling2D" in kinds


@pytest.mark.parametrize(("blocks", "smallest"), [([[2]], 4), ([[2], [2]], 4), ([[2], [2], [2]], 8)])
def test_the_smallest_input_survives_every_halving(blocks: list[list[int]], smallest: int) -> None:
    assert np.asarray(_build(_tiny(blocks=blocks, size_px=smallest))(_images(1, smallest))).shape == (1, 3)
    with pytest.raises(ValueError, match=r"size_px|[Nn]egative dimension|shape"):
        _build(_tiny(blocks=blocks, size_px=smallest - 1))


@pytest.mark.parametrize(
    "fault",
    [
        *({"size_px": 3}, {"halve": "mean"}, {"top": "none"}, {"dense_units": 0}, {"dense_units": None}),
        *({"blocks": wrong} for wrong in (32, [], [[]], [[0]], [[4], []])),
    ],
)
def test_impossible_rows_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _tiny(**fault)


def test_batch_norm_stands_between_each_convolution_and_its_relu_and_replaces_its_bias() -> None:
    layers = _build(batch_norm=True).layers
    norms = [number for number, layer in enumerate(layers) if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 4  # three convolutions and the hidden layer
    for number in norms:
        assert not layers[number - 1].use_bias
        assert layers[number + 1].activation is keras.activations.relu
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in _build().layers)
    assert _build().get_layer("conv1_1").use_bias


def test_weight_decay_penalises_kernels_of_convolutions_and_the_hidden_layer() -> None:
    model = _build(weight_decay=0.01)
    kernels = [model.get_layer(name).kernel for name in ("conv1_1", "conv1_2", "conv2_1", "dense")]
    expected = 0.01 * sum(float((np.asarray(kernel) ** 2).sum()) for kernel in kernels)
    assert float(sum(map(float, model.losses))) == pytest.approx(expected, rel=1e-5)
    assert _build().losses == []


def test_dropout_follows_each_block_and_the_hidden_layer() -> None:
    rates = {layer.name: layer.rate for layer in _build().layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == {"dropout1": 0.25, "dropout2": 0.25, "dropout_dense": 0.5}
    images = _images(4, 8)
    model = _build()
    assert not np.allclose(model(images, training=True), model(images, training=False))
    off = _build(dropout_block=0.0, dropout_dense=0.0)
    assert_allclose(off(images, training=True), off(images, training=False), atol=1e-6)


def test_decaying_dropout_takes_the_place_of_keras_dropout() -> None:
    layers = [layer for layer in _build(dropout_decay=0.9).layers if "dropout" in layer.name]
    assert [(type(layer).__name__, layer.rate) for layer in layers] == [
        ("DecayingDropout", 0.25),
        ("DecayingDropout", 0.25),
        ("DecayingDropout", 0.5),
    ]


@pytest.mark.parametrize(
    "changes", [{}, {"batch_norm": True, "weight_decay": 0.01}, {"dropout_decay": 0.9}, {"halve": "stride"}]
)
def test_the_architecture_loads_back_from_json(changes: dict[str, Any]) -> None:
    network = _tiny(halve=changes.get("halve", "pool"))
    model = _build(network, **{key: value for key, value in changes.items() if key != "halve"})
    found = keras.models.model_from_json(model.to_json())
    assert found.count_params() == model.count_params()
    found.set_weights(model.get_weights())
    assert_allclose(found(_images(3, 8)), model(_images(3, 8)), atol=1e-6)


def test_a_row_that_halves_its_input_to_nothing_is_refused_with_the_least_size():
    with pytest.raises(
        InputError, match=r"networks\.deep.*3 blocks halve the side to nothing; size_px must be at least 8"
    ):
        row = {"size_px": 7, "blocks": [[4], [4], [4]], "halve": "pool", "top": "dense", "dense_units": 8}
        parse(NetworkSettings, row, "networks.deep")


def test_the_network_sees_grey_levels_around_zero() -> None:
    images = _images(2, TINY.size_px)
    seen = _build(mid_grey=0.25).get_layer("centred")(images)
    np.testing.assert_allclose(seen, images - 0.25, atol=1e-7)


def _with_features(**changes: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build(_tiny(**changes), 3, ModelOptions(_regularisation(), 0.5, n_features=4, feature_units=5))


@pytest.mark.parametrize("top", ["dense", "average", "masked"])
def test_features_are_standardised_and_add_to_the_logits(top: str) -> None:
    model, rng = _with_features(top=top), np.random.default_rng(0)
    features = rng.normal(50, 10, (200, 4))
    model.get_layer("standardised").adapt(features)
    centre = np.repeat(features.mean(axis=0, keepdims=True), 5, axis=0).astype(np.float32)
    images = _images(5, 8)
    plain, moved = np.asarray(model([images, centre])), np.asarray(model([images, centre + 10]))
    assert not np.allclose(plain, moved, atol=1e-3)
    part = keras.Model(model.input, model.get_layer("joined").output)
    shift = np.asarray(part([images, centre + 10])) - np.asarray(part([images, centre]))
    assert_allclose(shift, np.repeat(shift[:1], 5, axis=0), atol=1e-4)  # the same for every image: late fusion


def test_a_feature_far_from_the_training_rows_counts_as_ten_standard_deviations() -> None:
    model, features = _with_features(), np.random.default_rng(0).normal(size=(500, 4))
    features[:, 3] = 7.0  # constant in training
    model.get_layer("standardised").adapt(features)
    image, row = _images(1, 8), np.array([[0, 0, 0, 7]], np.float32)
    for column in range(4):
        far, farther = row.copy(), row.copy()
        far[0, column], farther[0, column] = 1e3, 1e6
        assert_allclose(np.asarray(model([image, far])), np.asarray(model([image, farther])), atol=1e-6)


def test_masked_averages_do_not_see_black_pixels() -> None:
    """A particle on a larger black canvas gives what it gives alone, up to what convolutions mix in at its edge."""
    row = {"size_px": 16, "blocks": [[4]], "top": "masked", "dense_units": None}
    small, large = (_build(_tiny(**{**row, "size_px": size})) for size in (16, 48))
    large.set_weights(small.get_weights())
    image = _images(1, 16) * 0.8 + 0.2
    canvas = np.zeros((1, 48, 48, 1), np.float32)
    canvas[:, 16:32, 16:32] = image
    averaged = _build(_tiny(**{**row, "size_px": 48, "top": "average"}))
    averaged.set_weights(small.get_weights())
    expected = np.asarray(small(image))
    assert_allclose(np.asarray(large(canvas)), expected, atol=0.02)
    assert not np.allclose(np.asarray(averaged(canvas)), expected, atol=0.02)


def test_an_image_that_is_all_black_has_probabilities_too() -> None:
    model = _build(_tiny(top="masked", dense_units=None))
    assert_allclose(np.asarray(model(np.zeros((1, 8, 8, 1), np.float32))).sum(), 1, atol=1e-5)


def test_residual_blocks_bridge_two_convolutions() -> None:
    row = _tiny(size_px=8, blocks=[[4, 4], [6, 6]], halve="stride", top="average", dense_units=None, residual=True)
    model = _build(row, batch_norm=True, dropout_block=0.0)
    assert {layer.name for layer in model.layers} >= {"conv1_1_bridge", "conv1_1_sum", "conv2_1_bridge", "conv2_1_sum"}
    # With a second convolution of zeros, a block is its bridge.
    model.get_layer("conv1_2").set_weights([np.zeros_like(model.get_layer("conv1_2").kernel)])
    image = _images(2, 8)
    names = ("conv1_1_bridge_norm", "conv1_1_out")
    bridge, out = keras.Model(model.input, [model.get_layer(name).output for name in names])(image)
    assert_allclose(np.asarray(out), np.maximum(np.asarray(bridge), 0), atol=1e-5)


@pytest.mark.parametrize("blocks", [[[4]], [[4, 4], [4, 4, 4]]])
def test_a_residual_block_needs_pairs(blocks: list[list[int]]) -> None:
    with pytest.raises(ValidationError, match="even number"):
        _tiny(blocks=blocks, residual=True)


def test_two_channels_go_in() -> None:
    keras.utils.set_random_seed(0)
    model = build(TINY, 3, ModelOptions(_regularisation(), 0.5, n_channels=2))
    assert model.input_shape == (None, 8, 8, 2)
    images = np.random.default_rng(0).random((3, 8, 8, 2), dtype=np.float32)
    assert not np.allclose(np.asarray(model(images)), np.asarray(model(images[..., ::-1])), atol=1e-4)


@pytest.mark.parametrize("top", ["dense", "masked"])
def test_every_kind_of_network_is_rebuilt_from_its_architecture(top: str) -> None:
    model = _with_features(top=top)
    model.get_layer("standardised").adapt(np.random.default_rng(0).normal(size=(50, 4)))
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    again.get_layer("standardised").finalize_state()
    inputs = [_images(2, 8), np.ones((2, 4), np.float32)]
    assert_allclose(np.asarray(again(inputs)), np.asarray(model(inputs)), atol=1e-6)


FCN = NetworkSettings(
    size_px=64, buckets_px=[16, 32, 48], blocks=[[16, 16], [16], [16]], halve="pool", top="masked", dense_units=None
)


def _on_canvases(side: int, grey: float = 0.0) -> dict[int, NDArray[np.float32]]:
    """Two particles of an odd, oblong shape in the middle of squares of black, or of grey."""
    image = _images(2, side)[:, : side - 3] * 0.8 + 0.2
    canvases = {}
    for size in (16, 32, 48, 64):
        top, left = size // 2 - side // 2, size // 2 - side // 2 + 1
        canvases[size] = np.full((2, size, size, 1), grey, np.float32)
        canvases[size][:, top : top + side - 3, left : left + side] = image
    return canvases


@pytest.mark.parametrize("halve", ["pool", "stride", "entry"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_what_is_said_of_a_particle_does_not_depend_on_its_bucket(halve: str, residual: bool, batch_norm: bool) -> None:
    """Nor on whether there are buckets at all."""
    row = {**FCN.model_dump(), "halve": halve, "residual": residual, "batch_norm": batch_norm}
    if residual:
        row["blocks"] = [[16, 16], [17, 17], [18, 18]]
    model = _build(NetworkSettings.model_validate(row))
    rng = np.random.default_rng(0)
    for weight in model.weights:  # biases too, which padding must not let in
        if weight.path.endswith(("bias", "beta", "moving_mean")):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    fixed = _build(NetworkSettings.model_validate({**row, "buckets_px": []}))
    fixed.set_weights(model.get_weights())
    canvases = _on_canvases(13)
    expected = np.asarray(fixed(canvases[64]))
    assert np.abs(expected[0] - expected[1]).max() > 1e-4
    for canvas in canvases.values():
        assert_allclose(np.asarray(model(canvas)), expected, atol=1e-5)
    seen_all = _on_canvases(13, grey=0.1)
    assert not np.allclose(np.asarray(model(seen_all[32])), np.asarray(model(seen_all[64])), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"top": "average"}, "needs top: masked"),
        ({"buckets_px": [32, 16]}, "must ascend"),
        ({"buckets_px": [64]}, "must ascend"),
        ({"buckets_px": [24]}, "multiples of 16"),
        ({"size_px": 72}, "multiples of 16"),
        ({"blocks": [[4]] * 4}, "halved three times at most"),
    ],
)
def test_buckets_that_would_change_the_answer_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        NetworkSettings.model_validate({**FCN.model_dump(), **change})


@pytest.fixture
def bfloat16() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_dropout_of_a_network_in_bfloat16_has_the_exact_rate(decay: float) -> None:
    layer = _build(dropout_block=0.3, dropout_decay=decay).get_layer("dropout1")
    layer(np.ones((1, 1), np.float32))
    dropped = np.asarray(keras.ops.cast(layer(np.ones((2000, 2000), np.float32), training=True) == 0, "float32"))
    assert dropped.mean() == pytest.approx(0.3, abs=0.0015)


@pytest.mark.usefixtures("bfloat16")
def test_the_masked_average_of_a_network_in_bfloat16_is_in_float32() -> None:
    model = _build(_tiny(top="masked", dense_units=None, size_px=32, blocks=[[2]]), dropout_block=0.0)
    top, mask = (layer.output for layer in model.layers if layer.name in ("pool1", "seen1"))
    averaged = keras.Model(model.input, [top, mask, model.get_layer("classes").input])
    top, mask, found = (np.asarray(keras.ops.cast(part, "float64")) for part in averaged(_images(3, 32)))
    assert keras.backend.standardize_dtype(averaged.outputs[2].dtype) == "float32"
    expected = (top * mask).sum(axis=(1, 2)) / mask.sum(axis=(1, 2))
    assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5)
