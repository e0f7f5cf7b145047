"""The LipNets (thesis, section 7, Figure 13): each is a row of the table ``networks`` in params.yaml, built here.

Keras 3 code that names no backend. Keras is imported where a network is built, so that reading settings costs nothing.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lipnet.settings import Settings

if TYPE_CHECKING:
    import keras


LARGEST = 10.0  # standard deviations: a feature farther from the training rows' mean counts as this far


class NetworkSettings(Settings):
    """One row of the table ``networks``.

    Attributes:
        size_px: side of the square grey input.
        blocks: channels of the 3 x 3 convolutions, block by block; each block ends by halving the side.
        halve: by 2 x 2 max-pooling, or by a 3 x 3 convolution of stride 2 (Springenberg et al. 2015).
        top: ``dense`` flattens into one hidden layer; ``average`` is a 1 x 1 convolution to K channels, averaged;
            ``masked`` averages only where the particle is: pixels that are all black are not seen.
        dense_units: width of that hidden layer; for the top ``dense`` only.
        residual: every two convolutions of a block are bridged by their input (He et al. 2016).
    """

    size_px: int = Field(ge=4)
    blocks: list[Annotated[list[PositiveInt], Field(min_length=1)]] = Field(min_length=1)
    halve: Literal["pool", "stride"]
    top: Literal["dense", "average", "masked"]
    dense_units: PositiveInt | None = None
    residual: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        least = 2 ** len(self.blocks)
        if self.size_px < least:
            raise ValueError(f"{len(self.blocks)} blocks halve the side to nothing; size_px must be at least {least}")
        if (self.top == "dense") != (self.dense_units is not None):
            raise ValueError("dense_units goes with top: dense, and with no other")
        if self.residual and any(len(channels) % 2 for channels in self.blocks):
            raise ValueError("residual bridges two convolutions at a time; give every block an even number of them")
        return self


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

    Its first layer subtracts ``mid_grey``: some networks that saw positive numbers only were found dead after training,
    every filter of the last convolution at once, and named one class for ever.

    With ``n_features`` it has a second input, the particle features, shape (n, n_features), standardised by its layer
    ``standardised`` (to be adapted to training rows): a hidden layer of ``feature_units`` on them adds to the logits,
    which is joining both before the last layer (late fusion; thesis, section 12).

    Returns:
        Its output has shape (n, n_classes); the input of its layer ``classes`` is the embedding of the images.
    """
    import keras

    image = keras.Input((network.size_px, network.size_px, n_channels), name="image")
    x = keras.layers.Rescaling(1.0, offset=-mid_grey, name="centred")(image)
    for number, channels in enumerate(network.blocks, start=1):
        x = (_residual if network.residual else _plain)(x, number, channels, regularisation)
        if network.halve == "pool":
            x = keras.layers.MaxPooling2D(2, name=f"pool{number}")(x)
        else:
            x = _convolution(x, f"stride{number}", channels[-1], regularisation, strides=2)
        x = _dropout(f"dropout{number}", regularisation.dropout_block, regularisation)(x)
    inputs, logits = image, _top(x, image, network, n_classes, regularisation)
    if n_features:
        features, more = _of_features(n_features, feature_units, n_classes, regularisation)
        inputs, logits = [image, features], keras.layers.Add(name="joined")([logits, more])
    return keras.Model(inputs, keras.layers.Activation("softmax", name="probabilities")(logits))


def _plain(x: Any, number: int, channels: list[int], regularisation: RegularisationSettings) -> Any:
    for position, filters in enumerate(channels, start=1):
        x = _convolution(x, f"conv{number}_{position}", filters, regularisation)
    return x


def _residual(x: Any, number: int, channels: list[int], regularisation: RegularisationSettings) -> Any:
    import keras

    for position in range(0, len(channels), 2):
        name, (first, second) = f"conv{number}_{position + 1}", channels[position : position + 2]
        fits = x.shape[-1] == second
        bridge = x if fits else keras.layers.Conv2D(second, 1, use_bias=False, name=f"{name}_bridge")(x)
        x = _convolution(x, name, first, regularisation)
        x = _convolution(x, f"conv{number}_{position + 2}", second, regularisation, rectified=False)
        x = keras.layers.Activation("relu", name=f"{name}_out")(keras.layers.Add(name=f"{name}_sum")([x, bridge]))
    return x


def _convolution(
    x: Any, name: str, filters: int, regularisation: RegularisationSettings, strides: int = 1, rectified: bool = True
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
    return _normalised(x, name, regularisation, rectified)


def _normalised(x: Any, name: str, regularisation: RegularisationSettings, rectified: bool = True) -> Any:
    import keras

    if regularisation.batch_norm:
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x) if rectified else x


def _top(x: Any, image: Any, network: NetworkSettings, n_classes: int, regularisation: RegularisationSettings) -> Any:
    import keras

    if network.top == "dense":
        x = keras.layers.Flatten(name="flatten")(x)
        x = _hidden(x, "dense", network.dense_units, regularisation)
        return keras.layers.Dense(n_classes, name="classes")(x)
    x = keras.layers.Conv2D(n_classes, 1, name="classes")(x)
    if network.top == "average":
        return keras.layers.GlobalAveragePooling2D(name="average")(x)
    seen = _seen(image, len(network.blocks))
    total = keras.layers.GlobalAveragePooling2D(name="total")(keras.layers.Multiply(name="where_seen")([x, seen]))
    return total / (keras.layers.GlobalAveragePooling2D(name="share_seen")(seen) + 1e-6)


def _seen(image: Any, n_halvings: int) -> Any:
    """1 where the cell of the last convolution covers a pixel that is not black, and 0 elsewhere."""
    import keras

    brightest = keras.ops.max(image, axis=-1, keepdims=True)
    seen = keras.layers.ReLU(max_value=1.0, name="not_black")(brightest * 255.0)  # one grey level of 8 bits is seen
    for number in range(1, n_halvings + 1):
        seen = keras.layers.MaxPooling2D(2, name=f"seen{number}")(seen)
    return seen


def _of_features(
    n_features: int, units: int, n_classes: int, regularisation: RegularisationSettings
) -> tuple[Any, Any]:
    import keras

    features = keras.Input((n_features,), name="features")
    x = keras.layers.Normalization(name="standardised")(features)
    x = keras.ops.clip(x, -LARGEST, LARGEST)
    x = _hidden(x, "features_dense", units, regularisation)
    return features, keras.layers.Dense(n_classes, use_bias=False, name="features_classes")(x)


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
    from lipnet.dropout import DecayingDropout

    return DecayingDropout(rate, name=name)


def _decay(regularisation: RegularisationSettings) -> Any:
    import keras

    return keras.regularizers.L2(regularisation.weight_decay) if regularisation.weight_decay else None
