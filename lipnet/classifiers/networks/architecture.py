"""The LipNets (thesis, section 7, Figure 13) and peers: each is a row of ``networks`` in params.yaml, built here.

Keras 3 code that names no backend. Keras is imported where a network is built, so that reading settings costs nothing.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lipnet.core.settings import Settings
from lipnet.samples.buckets import STEP_PX

if TYPE_CHECKING:
    import keras


WHOLE = "float32"  # of the first and the last layers, whatever the others compute in
LARGEST = 10.0  # standard deviations: a feature farther from the training rows' mean counts as this far


class NetworkSettings(Settings):
    """One row of the table ``networks``.

    Attributes:
        size_px: side of the square input; of the largest one, where there are buckets.
        blocks: channels of the 3 x 3 convolutions, block by block.
        halve: the side, at the end of each block, by 2 x 2 max-pooling (``pool``) or a 3 x 3 convolution of stride 2
            (``stride``; Springenberg et al. 2015); or at its ``entry``, the first convolution of every block but the
            first having stride 2 (He et al. 2016).
        top: ``dense`` flattens into one hidden layer; ``average`` is a 1 x 1 convolution to K channels, averaged;
            ``masked`` averages only where the particle is, and no layer sees pixels that are all black.
        dense_units: width of that hidden layer; for the top ``dense`` only.
        residual: every two convolutions of a block are bridged by their input (He et al. 2016).
        stem: channels of one more convolution before the blocks, or none.
        batch_norm: normalise batches whatever ``train_cnn.regularisation`` says.
        buckets_px: sides of smaller inputs. A particle is cut to the least side that holds it (``buckets``), so that a
            small one costs little; what is said of it does not depend on the side.
    """

    size_px: int = Field(ge=4)
    blocks: list[Annotated[list[PositiveInt], Field(min_length=1)]] = Field(min_length=1)
    halve: Literal["pool", "stride", "entry"]
    top: Literal["dense", "average", "masked"]
    dense_units: PositiveInt | None = None
    residual: bool = False
    stem: PositiveInt | None = None
    batch_norm: bool = False
    buckets_px: list[PositiveInt] = Field(default=[])

    @property
    def n_halvings(self) -> int:
        """How often the side is halved."""
        return len(self.blocks) - (self.halve == "entry")

    @property
    def sides_px(self) -> list[int]:
        """All sides of inputs, ascending."""
        return [*self.buckets_px, self.size_px]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        least = 2**self.n_halvings
        if self.size_px < least:
            raise ValueError(f"{len(self.blocks)} blocks halve the side to nothing; size_px must be at least {least}")
        if (self.top == "dense") != (self.dense_units is not None):
            raise ValueError("dense_units goes with top: dense, and with no other")
        if self.residual and any(len(channels) % 2 for channels in self.blocks):
            raise ValueError("residual bridges two convolutions at a time; give every block an even number of them")
        if self.buckets_px:
            self._check_buckets()
        return self

    def _check_buckets(self) -> None:
        if self.top != "masked":
            raise ValueError("buckets_px needs top: masked, which does not see padding")
        if any(one >= other for one, other in pairwise(self.sides_px)):
            raise ValueError("buckets_px must ascend, and stay below size_px")
        # Cut from its middle, a field shrinks by the same at all edges; then every halving falls on the same pixels.
        if any(side % STEP_PX for side in self.sides_px) or 2 * 2**self.n_halvings > STEP_PX:
            raise ValueError(f"with buckets_px all sides are multiples of {STEP_PX} and halved three times at most")


class RegularisationSettings(Settings):
    """Section ``train_cnn.regularisation`` of params.yaml (thesis, section 5)."""

    dropout_block: float = Field(ge=0, lt=1)
    dropout_dense: float = Field(ge=0, lt=1)
    dropout_decay: float = Field(gt=0, le=1)
    weight_decay: float = Field(ge=0)
    batch_norm: bool


def build(
    network: NetworkSettings,
    n_classes: int,
    regularisation: RegularisationSettings,
    mid_grey: float,
    n_channels: int = 1,
    n_features: int = 0,
    feature_units: int = 0,
) -> "keras.Model":
    """Build a network that maps images of shape (n, size_px, size_px, n_channels) in [0, 1] to probabilities.

    With buckets the sides of images are free: (n, side, side, n_channels), any of ``buckets``.

    Layers compute in what ``keras.config.dtype_policy`` says, the first and the last ones in float32.

    Its first layer subtracts ``mid_grey``: some networks that saw positive numbers only were found dead after training,
    every filter of the last convolution at once, and named one class for ever.

    With the top ``masked``, what lies where all is black is 0 before every convolution, as the padding of a convolution
    is, so that more black around a particle changes nothing.

    With ``n_features`` it has a second input, the particle features, shape (n, n_features), standardised by its layer
    ``standardised`` (to be adapted to training rows): a hidden layer of ``feature_units`` on them adds to the logits,
    which is joining both before the last layer (late fusion; thesis, section 12).

    Returns:
        Its output has shape (n, n_classes); the input of its layer ``classes`` is the embedding of the images.
    """
    import keras

    if network.batch_norm:
        regularisation = regularisation.model_copy(update={"batch_norm": True})
    side = None if network.buckets_px else network.size_px
    image = keras.Input((side, side, n_channels), name="image")
    seen = _not_black(image) if network.top == "masked" else None
    x = _where_seen(keras.layers.Rescaling(1.0, offset=-mid_grey, dtype=WHOLE, name="centred")(image), "centred", seen)
    if network.stem:
        x = _convolution(x, "stem", network.stem, regularisation, seen)
    for number, channels in enumerate(network.blocks, start=1):
        strides = 2 if network.halve == "entry" and number > 1 else 1
        seen = _halved(seen, f"seen{number}_in") if strides == 2 else seen
        x = (_residual if network.residual else _plain)(x, number, channels, regularisation, seen, strides)
        if network.halve != "entry":
            seen = _halved(seen, f"seen{number}")
        if network.halve == "pool":
            x = keras.layers.MaxPooling2D(2, name=f"pool{number}")(x)
        elif network.halve == "stride":
            x = _convolution(x, f"stride{number}", channels[-1], regularisation, seen, strides=2)
        x = _dropout(f"dropout{number}", regularisation.dropout_block, regularisation)(x)
    inputs, logits = image, _top(x, seen, network, n_classes, regularisation)
    if n_features:
        features, more = _of_features(n_features, feature_units, n_classes, regularisation)
        inputs, logits = [image, features], keras.layers.Add(dtype=WHOLE, name="joined")([logits, more])
    return keras.Model(inputs, keras.layers.Activation("softmax", dtype=WHOLE, name="probabilities")(logits))


def _plain(
    x: Any, number: int, channels: list[int], regularisation: RegularisationSettings, seen: Any, strides: int
) -> Any:
    for position, filters in enumerate(channels, start=1):
        first = strides if position == 1 else 1
        x = _convolution(x, f"conv{number}_{position}", filters, regularisation, seen, first)
    return x


def _residual(
    x: Any, number: int, channels: list[int], regularisation: RegularisationSettings, seen: Any, strides: int
) -> Any:
    import keras

    for position in range(0, len(channels), 2):
        name, (one, other) = f"conv{number}_{position + 1}", channels[position : position + 2]
        first, bridge = strides if position == 0 else 1, x
        if first > 1 or x.shape[-1] != other:
            bridge = keras.layers.Conv2D(other, 1, strides=first, use_bias=False, name=f"{name}_bridge")(x)
            bridge = _normalised(bridge, f"{name}_bridge", regularisation, rectified=False)
        x = _convolution(x, name, one, regularisation, seen, first)
        x = _convolution(x, f"conv{number}_{position + 2}", other, regularisation, seen, rectified=False)
        x = keras.layers.Activation("relu", name=f"{name}_out")(keras.layers.Add(name=f"{name}_sum")([x, bridge]))
        x = _where_seen(x, f"{name}_out", seen)
    return x


def _convolution(
    x: Any,
    name: str,
    filters: int,
    regularisation: RegularisationSettings,
    seen: Any,
    strides: int = 1,
    rectified: bool = True,
) -> Any:
    import keras

    x = keras.layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same",
        use_bias=not regularisation.batch_norm,
        kernel_regularizer=_decay(regularisation),
        name=name,
    )(x)
    return _where_seen(_normalised(x, name, regularisation, rectified), name, seen)


def _normalised(x: Any, name: str, regularisation: RegularisationSettings, rectified: bool = True) -> Any:
    import keras

    if regularisation.batch_norm:
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x) if rectified else x


def _not_black(image: Any) -> Any:
    """1 where a pixel is not black, in any channel, and 0 elsewhere; shape (n, side, side, 1)."""
    import keras

    brightest = keras.ops.max(image, axis=-1, keepdims=True)
    return keras.layers.ReLU(max_value=1.0, name="not_black")(brightest * 255.0)  # one grey level of 8 bits is seen


def _halved(seen: Any, name: str) -> Any:
    """1 where a cell of 2 x 2 covers anything that is seen."""
    import keras

    return None if seen is None else keras.layers.MaxPooling2D(2, name=name)(seen)


def _where_seen(x: Any, name: str, seen: Any) -> Any:
    import keras

    return x if seen is None else keras.layers.Multiply(name=f"{name}_seen")([x, seen])


def _top(x: Any, seen: Any, network: NetworkSettings, n_classes: int, regularisation: RegularisationSettings) -> Any:
    import keras

    if network.top == "dense":
        x = keras.layers.Flatten(name="flatten")(x)
        x = _hidden(x, "dense", network.dense_units, regularisation)
        return keras.layers.Dense(n_classes, dtype=WHOLE, name="classes")(x)
    if network.top == "masked":
        # Averaged before the last layer, which is linear, so that the embedding does not see padding either.
        parts = (_where_seen(x, "top", seen), seen)
        total, area = (keras.ops.sum(part, axis=(1, 2), keepdims=True) for part in parts)
        x = total / keras.ops.maximum(area, 1.0)
    x = keras.layers.Conv2D(n_classes, 1, dtype=WHOLE, name="classes")(x)
    return keras.layers.GlobalAveragePooling2D(dtype=WHOLE, name="average")(x)


def _of_features(
    n_features: int, units: int, n_classes: int, regularisation: RegularisationSettings
) -> tuple[Any, Any]:
    import keras

    features = keras.Input((n_features,), name="features")
    x = keras.layers.Normalization(dtype=WHOLE, name="standardised")(features)
    x = keras.ops.clip(x, -LARGEST, LARGEST)
    x = _hidden(x, "features_dense", units, regularisation)
    return features, keras.layers.Dense(n_classes, use_bias=False, dtype=WHOLE, name="features_classes")(x)


def _hidden(x: Any, name: str, units: int | None, regularisation: RegularisationSettings) -> Any:
    import keras

    x = keras.layers.Dense(
        units, use_bias=not regularisation.batch_norm, kernel_regularizer=_decay(regularisation), name=name
    )(x)
    x = _normalised(x, name, regularisation)
    return _dropout(f"dropout_{name}", regularisation.dropout_dense, regularisation)(x)


def _dropout(name: str, rate: float, regularisation: RegularisationSettings) -> Any:
    import keras

    if regularisation.dropout_decay == 1.0:  # Keras's own layer, so that the architecture loads without lipnet
        return keras.layers.Dropout(rate, name=name)
    from lipnet.classifiers.networks.dropout import DecayingDropout

    return DecayingDropout(rate, name=name)


def _decay(regularisation: RegularisationSettings) -> Any:
    import keras

    return keras.regularizers.L2(regularisation.weight_decay) if regularisation.weight_decay else None
