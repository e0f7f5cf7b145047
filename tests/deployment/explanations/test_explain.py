"""Maps of attention compared with transposed matrices, planted patterns and automatic differentiation."""

from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy import stats

from lipnet.classifiers.networks.architecture import ModelOptions, build
from lipnet.classifiers.networks.prediction import predict
from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings
from lipnet.deployment.explanations.agreement import agreement, strongest
from lipnet.deployment.explanations.explain import (
    RULES,
    Rule,
    backproject,
    backward,
    chain,
    embedding,
    excited_patches,
    forward,
    most_exciting,
    occlusion,
    receptive_field,
    rule_for,
    transposed,
)

ROWS = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text())["networks"]
THESIS = ("lipnet1", "lipnet2", "lipnet4", "lipnet4c", "lipnet6")  # chains of layers; other networks are refused
NETWORKS = {name: ROWS[name] for name in THESIS}
PLAIN = {"dropout_block": 0.25, "dropout_dense": 0.5, "dropout_decay": 1.0, "weight_decay": 0.0, "batch_norm": False}
POOL = {"size_px": 8, "blocks": [[2]], "halve": "pool", "top": "dense", "dense_units": 3}
STRIDE = {"size_px": 9, "blocks": [[2], [3]], "halve": "stride", "top": "average"}
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def _network(row: dict[str, Any], mid_grey: float = 0.0, **regularisation: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    settings = RegularisationSettings.model_validate(PLAIN | regularisation)
    return build(NetworkSettings.model_validate(row), 3, ModelOptions(settings, mid_grey))


def _random_weights(model: keras.Model) -> keras.Model:
    """Set biases and normalisations to values other than 0 and 1, so that the tests find errors in them."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.path.endswith(("bias", "beta", "moving_mean")):
            weight.assign(rng.normal(0, 0.1, weight.shape))
        elif weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.5, 2, weight.shape))
    return model


def _small_integers(model: keras.Model, low: int = -3) -> keras.Model:
    """Set weights for which float32 arithmetic is exact."""
    rng = np.random.default_rng(2)
    for weight in model.weights:
        if "dropout" not in weight.path:
            weight.assign(rng.integers(low, 4, weight.shape))
    return model


def _crops(n: int, size_px: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (n, size_px, size_px)).astype(np.uint8)


def _probed(model: keras.Model, layer: str, size_px: int) -> NDArray[np.float64]:
    """Matrix from pixels to outputs of a layer: outputs for every unit image, minus the output for a black image."""
    pixels = np.concatenate([np.zeros((1, size_px**2)), np.eye(size_px**2)]).reshape(-1, size_px, size_px, 1)
    part = keras.Model(model.inputs[0], model.get_layer(layer).output)
    answers = part.predict_on_batch(pixels).reshape(len(pixels), -1).astype(np.float64)
    return cast("NDArray[np.float64]", (answers[1:] - answers[0]).T)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", ["conv1_1", "stride1_relu", "conv2_1", "stride2", "average"])
def test_signals_in_a_linear_network_are_propagated_by_its_transpose(rule: Rule, layer: str) -> None:
    model = _small_integers(_network(STRIDE), low=1)  # all weights positive: every ReLU passes everything
    crops = _crops(2, 9)
    matrix = _probed(model, layer, 9)
    output = forward(model, crops)[[step.name for step in chain(model)].index(layer) + 1]
    for unit in range(output.shape[-1]):
        place = output[..., unit].reshape(2, -1).argmax(axis=1)
        expected = matrix[place * output.shape[-1] + unit].reshape(2, 9, 9)
        assert_allclose(backproject(model, crops, layer, unit, rule), expected, rtol=1e-5)


def test_switches_put_values_where_the_maxima_were() -> None:
    pool = _network({**POOL, "size_px": 5}).get_layer("pool1")
    before = np.zeros((1, 5, 5, 2))
    before[0, [0, 1, 3, 2], [1, 2, 0, 3], 0] = 1  # one in each window of channel 0
    before[0, [1, 0, 2, 3], [1, 3, 1, 2], 1] = 1
    before[0, 4] = before[0, :, 4] = 9  # in no window
    signal = np.arange(1.0, 9).reshape(1, 2, 2, 2)
    expected = np.zeros_like(before)
    expected[0, [0, 1, 3, 2], [1, 2, 0, 3], 0] = [1, 3, 5, 7]
    expected[0, [1, 0, 2, 3], [1, 3, 1, 2], 1] = [2, 4, 6, 8]
    assert_array_equal(transposed(pool, before, signal, "deconvnet"), expected)


def test_rules_differ_at_relus() -> None:
    relu = keras.layers.Activation("relu")
    before, signal = np.array([[-1.0, -1.0, 2.0, 2.0]]), np.array([[-3.0, 4.0, -5.0, 6.0]])
    found = {rule: transposed(relu, before, signal, rule)[0].tolist() for rule in RULES}
    assert found == {"gradient": [0, 0, -5, 6], "deconvnet": [0, 4, 0, 6], "guided": [0, 0, 0, 6]}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_of_every_layer_is_adjoint_to_the_layer(name: str, batch_norm: bool) -> None:
    """<f(x + u) - f(x), y> = <u, f^T(y)>; x is chosen so that u changes no maximum and no sign."""
    model = _random_weights(_network(NETWORKS[name], batch_norm=batch_norm, dropout_decay=0.9))
    rng = np.random.default_rng(4)
    for layer in chain(model)[:-1]:
        shape = (2, *layer.input.shape[1:])
        before = np.zeros(shape)
        if isinstance(layer, keras.layers.Activation | keras.layers.MaxPooling2D):
            before = 2 * rng.permutation(before.size).reshape(shape) - float(before.size) + 1  # odd, both signs
        change = rng.integers(-63, 64, shape) / 64
        signal = rng.normal(size=(2, *layer.output.shape[1:]))
        forth = np.asarray(layer(before + change), np.float64) - np.asarray(layer(before), np.float64)
        back = transposed(layer, before, signal, "gradient")
        scale = np.linalg.norm(forth) * np.linalg.norm(signal)
        assert_allclose((forth * signal).sum(), (change * back).sum(), atol=1e-6 * scale, err_msg=layer.name)


def _by_tensorflow(
    model: keras.Model, crops: NDArray[np.uint8], layer: str, signal: NDArray[np.float64], rule: Rule
) -> NDArray[np.float32]:
    import tensorflow as tf

    def clipped(x: Any, dy: Any) -> Any:
        forth = dy * tf.cast(x > 0, tf.float32)
        return {"gradient": forth, "deconvnet": tf.nn.relu(dy), "guided": tf.nn.relu(forth)}[rule]

    relu = tf.custom_gradient(lambda x: (tf.nn.relu(x), lambda dy: clipped(x, dy)))
    image = tf.constant(crops[..., None] / np.float32(255))
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = image
        for step in chain(model)[: [step.name for step in chain(model)].index(layer) + 1]:
            value = relu(value) if isinstance(step, keras.layers.Activation) else step(value)
        total = tf.reduce_sum(value * tf.constant(signal, tf.float32))
    return cast("NDArray[np.float32]", tape.gradient(total, image).numpy()[..., 0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the oracle is TensorFlow's autograd")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_maps_of_every_network_agree_with_automatic_differentiation(name: str, batch_norm: bool, rule: Rule) -> None:
    model = _random_weights(_network(NETWORKS[name], mid_grey=0.5, batch_norm=batch_norm))
    crops = _crops(2, NETWORKS[name]["size_px"])
    last = [step.name for step in chain(model) if step.name.endswith("_relu") and step.output.ndim == 4][-1]
    for layer in (last, chain(model)[-2].name):
        signal = np.random.default_rng(5).normal(size=(2, *model.get_layer(layer).output.shape[1:]))
        found = backward(model, forward(model, crops), layer, signal, rule)
        expected = _by_tensorflow(model, crops, layer, signal, rule)
        assert np.abs(expected).max() > 0
        assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("row", [POOL, STRIDE])
def test_all_rules_are_the_gradient_where_everything_is_positive(row: dict[str, Any]) -> None:
    model = _small_integers(_network(row), low=1)
    crops = _crops(2, row["size_px"])
    last = chain(model)[-2].name
    gradient, *others = (backproject(model, crops, last, 1, rule) for rule in RULES)
    assert gradient.any()
    for other in others:
        assert_array_equal(other, gradient)


def _cross_detector(row: dict[str, Any]) -> keras.Model:
    """Filter 0 of conv1_1 is positive only at complete white crosses on black, and class 0 increases with it."""
    model = _network({**row, "size_px": 16, "blocks": [[2]]})
    for weight in model.weights:
        if weight.path.endswith(("stride1/kernel", "dense/kernel")):
            weight.assign(np.ones(weight.shape))
        elif "dropout" not in weight.path:
            weight.assign(np.zeros(weight.shape))
    kernel, bias = model.get_layer("conv1_1").weights
    kernel.assign(np.stack([2 * CROSS - 1, np.zeros((3, 3))], axis=-1)[:, :, None])
    bias.assign([-4, 0])
    to_classes = model.get_layer("classes").kernel
    weight = 1 if row["top"] == "dense" else 64  # the number of places that are averaged
    to_classes.assign(np.broadcast_to([weight, 0, 0], to_classes.shape))
    return model


def _with_cross() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image of a white cross, with lines and a dot as distractors, and the mask of the cross."""
    crop, cross = np.zeros((16, 16), np.uint8), np.zeros((16, 16), bool)
    crop[2, 1:7] = crop[8:14, 2] = crop[13, 13] = 255
    cross[8:11, 9:12] = CROSS
    crop[cross] = 255
    return crop, cross


@pytest.mark.parametrize("row", [POOL, STRIDE])
@pytest.mark.parametrize("rule", RULES)
def test_a_planted_pattern_is_reconstructed_from_the_filter_that_detects_it(row: dict[str, Any], rule: Rule) -> None:
    crop, _ = _with_cross()
    layers = ["conv1_1", "conv1_1_relu", *(["pool1"] if row is POOL else [])]
    for layer in layers:
        found = backproject(_cross_detector(row), crop[None], layer, 0, rule)[0]
        expected = np.zeros((16, 16))
        expected[8:11, 9:12] = 2 * CROSS - 1
        assert_array_equal(found, expected)


@pytest.mark.parametrize("row", [POOL, STRIDE])
def test_the_class_of_a_planted_pattern_is_traced_to_it(row: dict[str, Any]) -> None:
    crop, cross = _with_cross()
    model = _cross_detector(row)
    guided = backproject(model, crop[None], chain(model)[-2].name, 0, "guided")[0]
    assert_array_equal(guided > 0, cross)
    hidden = occlusion(model, crop, 0, reach_px=1)
    assert hidden.max() == pytest.approx(predict(model, crop[None])[0, 0] - 1 / 3, abs=1e-6)
    near = np.zeros_like(cross)
    near[7:12, 8:13] = True  # squares centred here touch the pattern
    assert_array_equal(hidden > 1e-6, near)
    assert_allclose(hidden[~near], 0, atol=1e-6)


def test_occlusion_of_a_class_shows_a_rise_as_negative() -> None:
    crop, _ = _with_cross()
    model = _cross_detector(POOL)
    assert_allclose(sum(occlusion(model, crop, label, reach_px=1) for label in range(3)), 0, atol=1e-6)
    assert occlusion(model, crop, 1, reach_px=1)[9, 10] < -0.1


def test_occlusion_with_a_step_has_the_values_at_the_centres_of_its_squares() -> None:
    crop, _ = _with_cross()
    model = _cross_detector(POOL)
    assert_array_equal(occlusion(model, crop, 0, 1, step_px=3), occlusion(model, crop, 0, 1)[1::3, 1::3])


def test_a_square_of_occlusion_covers_all_channels() -> None:
    keras.utils.set_random_seed(0)
    options = ModelOptions(RegularisationSettings.model_validate(PLAIN), 0.5, n_channels=2)
    model = build(NetworkSettings.model_validate(POOL), 3, options)
    crop = _crops(2, 8).transpose(1, 2, 0)
    covered = crop.copy()
    covered[1:4, 4:7] = 128
    expected = predict(model, crop[None])[0, 1] - predict(model, covered[None])[0, 1]
    assert occlusion(model, crop, 1, reach_px=1)[2, 5] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size_px", [None, 15])
@pytest.mark.parametrize("name", NETWORKS)
def test_receptive_fields_are_those_that_perturbation_measures(name: str, size_px: int | None) -> None:
    row = NETWORKS[name]
    side = size_px or row["size_px"]
    ones = [[1] * len(block) for block in row["blocks"]]
    model = _network({**row, "size_px": side, "blocks": ones, **({"dense_units": 1} if row["top"] == "dense" else {})})
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            weight.assign(np.ones(weight.shape))
    one_white = (
        (255 * np.eye(side**2)).reshape(-1, side, side).astype(np.uint8)
    )  # a white pixel on black increases every output that depends on it
    for layer, output in zip(chain(model), forward(model, one_white)[1:], strict=True):
        if output.ndim == 4:
            _, height, width, _ = output.shape
            reached = output[..., 0].reshape(side, side, height, width) > 0
            for place in {(0, 0), (0, width - 1), (height // 2, 1 % width), (height - 1, width // 3)}:
                expected = np.zeros((side, side), bool)
                expected[receptive_field(model, layer.name, place)] = True
                assert_array_equal(reached[..., *place], expected, err_msg=f"{layer.name} {place}")


def test_the_images_that_activate_a_filter_most_are_found_with_the_place() -> None:
    model = _cross_detector(POOL)
    crops = np.zeros((300, 16, 16), np.uint8)  # more than one batch
    for row, (top, left, grey) in {7: (2, 3, 230), 290: (10, 0, 255), 41: (0, 9, 240)}.items():
        crops[row, top : top + 3, left : left + 3] = grey * CROSS
    found = most_exciting(model, crops, "conv1_1_relu", 3)
    assert found.rows[0].tolist() == [290, 41, 7]
    assert found.places[0].tolist() == [[11, 1], [1, 10], [3, 4]]
    assert_allclose(found.values[0], 5 * np.array([255, 240, 230]) / 255 - 4, rtol=1e-5)
    assert found.rows.shape == found.values.shape == (2, 3)


def test_patches_are_receptive_fields_with_aligned_centres() -> None:
    model = _cross_detector(POOL)
    crops = np.zeros((2, 16, 16), np.uint8)
    crops[0, 10:13, 1:4] = 255 * CROSS
    crops[1, 0:3, 9:12] = 230 * CROSS
    found = excited_patches(model, crops, "conv1_1_relu", n_filters=1, k=2, rule="deconvnet")
    assert found.filters.tolist() == [0]
    assert_array_equal(found.patches, [[255 * CROSS, 230 * CROSS]])
    assert_array_equal(found.reconstructions, [[2 * CROSS - 1, 2 * CROSS - 1]])
    model.get_layer("conv1_1").kernel.assign(np.ones((3, 3, 1, 2)))
    crops[:] = 0
    crops[0, 0, 0] = crops[1, 15, 15] = 10  # a corner activates as much as its neighbours: the first place is used
    model.get_layer("conv1_1").bias.assign([0, 0])
    at_corner, at_end = excited_patches(model, crops, "conv1_1_relu", 2, 2, "gradient").patches[1]
    assert_array_equal(at_corner, [[np.nan] * 3, [np.nan, 10, 0], [np.nan, 0, 0]])
    assert_array_equal(at_end, [[0, 0, 0], [0, 0, 0], [0, 0, 10]])


def test_switches_are_used_if_there_is_max_pooling() -> None:
    assert {name: rule_for(_network(row)) for name, row in NETWORKS.items()} == {
        **dict.fromkeys(["lipnet1", "lipnet2", "lipnet4", "lipnet6"], "deconvnet"),
        "lipnet4c": "guided",
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_probabilities_are_the_softmax_of_a_linear_map_of_the_embedding(name: str) -> None:
    model = _random_weights(_network(NETWORKS[name]))
    crops = _crops(3, NETWORKS[name]["size_px"])
    weights, bias = map(np.asarray, model.get_layer("classes").weights)
    logits = embedding(model, crops) @ weights.reshape(-1, 3) + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert_allclose(predict(model, crops), expected, rtol=1e-4)


def test_an_unknown_layer_and_the_softmax_are_refused() -> None:
    model = _network(POOL)
    for layer in ("conv9_9", "probabilities"):
        with pytest.raises(ValueError, match=f"'{layer}' is not a layer below the softmax; available: centred, conv1"):
            backproject(model, _crops(1, 8), layer, 0, "guided")


def test_a_layer_without_a_map_is_refused() -> None:
    model = _network(POOL)
    with pytest.raises(ValueError, match="the output of 'dense' is not a map"):
        receptive_field(model, "dense", (0, 0))
    with pytest.raises(ValueError, match="the output of 'dense' is not a map"):
        most_exciting(model, _crops(2, 8), "dense", 1)


def _features() -> tuple[NDArray[np.float64], pd.DataFrame]:
    rng = np.random.default_rng(6)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["area", "noise", "width"]).round(1)  # with ties
    units = rng.normal(size=(60, 4))
    units[:, 1] = np.exp(table["area"])  # same order
    units[:, 2] = -table["width"] + 0.5 * rng.normal(size=60)
    units[:, 3] = 0  # dead
    return units, table.assign(flat=1.0, missing=[np.nan, *range(59)])


def test_correlations_are_spearmans() -> None:
    units, features = _features()
    table = agreement(units, features).set_index(["feature", "unit"])
    assert len(table) == 20
    assert table["spearman"]["flat"].isna().all() and table["spearman"]["missing"].isna().all()
    assert table["p_holm"][:, 3].isna().all()
    for feature in ("area", "noise", "width"):
        for unit in range(3):
            expected = stats.spearmanr(features[feature], units[:, unit])
            assert table["spearman"][feature, unit] == pytest.approx(expected.statistic)
            assert table["p_holm"][feature, unit] >= expected.pvalue * (1 - 1e-9)
    least = stats.spearmanr(features["width"], units[:, 2]).pvalue
    assert table["p_holm"]["area", 1] == 0
    assert table["p_holm"]["width", 2] == pytest.approx(
        8 * least, rel=1e-6, abs=0
    )  # second of the nine pairs that are defined


def test_noise_has_no_significant_agreement() -> None:
    rng = np.random.default_rng(7)
    table = agreement(rng.normal(size=(100, 50)), pd.DataFrame(rng.normal(size=(100, 20))))
    assert table["p_holm"].min() > 0.05


def test_the_strongest_pair_of_each_feature_and_unit_is_found_with_its_sign() -> None:
    table = agreement(*_features())
    of_feature = strongest(table, "feature")
    assert of_feature[["feature", "unit"]].to_numpy().tolist()[:2] == [["area", 1], ["width", 2]]
    assert of_feature["spearman"][0] == pytest.approx(1) and of_feature["spearman"][1] < -0.7
    assert set(of_feature["feature"]) == {"area", "noise", "width"}
    of_unit = strongest(table, "unit")
    assert of_unit["unit"].tolist()[:2] == [1, 2] and set(of_unit["unit"]) == {0, 1, 2}


def test_a_network_that_is_not_a_chain_is_refused() -> None:
    row = NetworkSettings(size_px=8, blocks=[[4, 4]], halve="stride", top="average", residual=True)
    with pytest.raises(ValueError, match="only networks that are a chain of layers can be explained; this one has Add"):
        chain(_network(row))
