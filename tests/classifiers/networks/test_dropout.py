"""Dropout with a rate that can be lowered: what share is dropped, and that the expectation stays."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lipnet.classifiers.networks.dropout import DecayingDropout

ONES = np.ones((200, 200), np.float32)


def _drop(layer: DecayingDropout) -> NDArray[np.float32]:
    return np.asarray(layer(ONES, training=True))


@pytest.mark.parametrize(("rate", "scale"), [(0.5, 1.0), (0.5, 0.5), (0.25, 0.8), (0.5, 0.0), (0.0, 1.0)])
def test_the_share_dropped_is_rate_times_scale_and_the_rest_makes_up_for_it(rate: float, scale: float) -> None:
    layer = DecayingDropout(rate)
    layer.build(ONES.shape)
    layer.scale.assign(scale)
    out = _drop(layer)
    keep = 1 - rate * scale
    assert (out == 0).mean() == pytest.approx(1 - keep, abs=0.01)
    assert_allclose(out[out != 0], 1 / keep, rtol=1e-6)
    assert out.mean() == pytest.approx(1, abs=0.02)


def test_the_scale_starts_at_1_and_is_not_trained() -> None:
    layer = DecayingDropout(0.5)
    layer.build(ONES.shape)
    assert float(layer.scale) == 1
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 1


def test_nothing_is_dropped_when_predicting() -> None:
    assert_array_equal(DecayingDropout(0.9)(ONES), ONES)
    assert_array_equal(DecayingDropout(0.9)(ONES, training=False), ONES)


def test_each_call_drops_other_units_and_a_seed_state_repeats_them() -> None:
    layer = DecayingDropout(0.5)
    layer.build(ONES.shape)
    state = np.asarray(layer.seed_generator.state)
    first, second = _drop(layer), _drop(layer)
    assert not np.array_equal(first, second)
    layer.seed_generator.state.assign(state)
    assert_array_equal(_drop(layer), first)


def test_the_layer_can_be_rebuilt_from_its_configuration() -> None:
    layer = DecayingDropout(0.3, name="dropout1")
    found = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(found, DecayingDropout)
    assert (found.rate, found.name) == (0.3, "dropout1")


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_the_rate_is_not_rounded_to_16_bits(rate: float) -> None:
    layer, ones = DecayingDropout(rate, dtype="mixed_bfloat16"), keras.ops.ones((2000, 2000), "bfloat16")
    layer.build(ones.shape)
    out = layer(ones, training=True)
    assert keras.backend.standardize_dtype(out.dtype) == "bfloat16"
    dropped = np.asarray(keras.ops.cast(out == 0, "float32")).mean()
    assert dropped == pytest.approx(rate, abs=5 * np.sqrt(rate / 4e6))
