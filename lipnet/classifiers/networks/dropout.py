"""Dropout with a rate that can change during training without recompiling the training step (thesis, section 5.3)."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("lipnet")
class DecayingDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout at ``rate * scale``; ``scale`` is a non-trainable weight that the training loop sets."""

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(0)

    def build(self, _input_shape: Any) -> None:
        """Create the scale; its initial value is 1."""
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones", trainable=False, autocast=False)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop units during training; return the inputs unchanged otherwise."""
        if not training:
            return inputs
        # In float32 at any precision of the layer: 16 bits would round the rate.
        keep = 1.0 - self.rate * self.scale
        kept = keras.random.uniform(keras.ops.shape(inputs), dtype="float32", seed=self.seed_generator) < keep
        return keras.ops.where(kept, inputs / keras.ops.cast(keep, inputs.dtype), 0.0)

    def get_config(self) -> dict[str, Any]:
        """Arguments of ``from_config``."""
        return {**super().get_config(), "rate": self.rate}
