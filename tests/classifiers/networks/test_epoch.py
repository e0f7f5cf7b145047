"""The compiled loop of TensorFlow: its one-pass Adam is Keras's Adam."""

import keras
import numpy as np
import tensorflow as tf

from lipnet.classifiers.networks.epoch import _fused_adam

SHAPE = (20, 10)


def test_the_fused_adam_is_that_of_keras() -> None:
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-9, 0, SHAPE)  # slopes far below and far above Adam's epsilon
    slopes = [tf.constant(rng.normal(size=SHAPE) * sizes, tf.float32) for _ in range(20)]
    found = []
    for fused in (True, False):
        weights, optimiser = keras.Variable(np.ones(SHAPE, np.float32)), keras.optimizers.Adam(0.01)
        optimiser.build([weights])
        update = _fused_adam(optimiser, [weights.value])
        assert update
        for slope in slopes:
            if fused:
                update([slope])
            else:
                optimiser.apply([slope], [weights])
        assert int(optimiser.iterations) == len(slopes)
        found.append(weights.value.numpy())
    assert np.abs(found[0] - 1).max() > 0.1
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_other_optimisers_have_no_fused_form() -> None:
    optimiser = keras.optimizers.SGD(0.01)
    assert _fused_adam(optimiser, []) is None
