"""Dropout whose rate can be lowered while training, without compiling the training step again (thesis, section 5.3)."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("lipnet")
class DecayingDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout at ``rate * scale``; ``scale`` is a weight that is not trained and that the training loop sets."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(0)

    def build(self, _input_shape: Any) -> None:
        """Create the scale, 1 at first."""
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones", trainable=False)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop units while training; the identity otherwise."""
        if not training:
            return inputs
        keep = 1.0 - self.rate * self.scale
        kept = keras.random.uniform(keras.ops.shape(inputs), dtype=inputs.dtype, seed=self.seed_generator) < keep
        return keras.ops.where(kept, inputs / keep, 0.0)

    def get_config(self) -> dict[str, Any]:
        """What ``from_config`` needs."""
        return {**super().get_config(), "rate": self.rate}
