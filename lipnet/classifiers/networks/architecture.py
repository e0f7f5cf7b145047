"""Build the LipNets (thesis, section 7, Figure 13) and their peers from the rows of ``networks`` in params.yaml.

The code runs on every backend of Keras 3. Keras is imported inside the functions, so that reading settings stays fast.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from lipnet.classifiers.networks.settings import NetworkSettings, RegularisationSettings

if TYPE_CHECKING:
    import keras


FULL_PRECISION = "float32"  # dtype of the first and the last layers and of dropout, at any precision of the others
FEATURE_LIMIT = 10.0  # standardised features are clipped to this many standard deviations from the mean


class ModelOptions(NamedTuple):
    """Properties of a network that its row of ``networks`` does not hold.

    Attributes:
        regularisation: dropout, weight decay and batch normalisation.
        mid_grey: subtracted from grey levels in [0, 1] by the first layer.
        n_channels: of the images.
        n_features: particle features of the second input; 0 for no second input.
        feature_units: width of the hidden layer on the features.
    """

    regularisation: RegularisationSettings
    mid_grey: float
    n_channels: int = 1
    n_features: int = 0
    feature_units: int = 0


def build(network: NetworkSettings, n_classes: int, options: ModelOptions) -> "keras.Model":
    """Build a network that maps images of shape (n, size_px, size_px, n_channels) in [0, 1] to probabilities.

    With buckets, the input has any side of the buckets: (n, side, side, n_channels).

    Layers compute in ``keras.config.dtype_policy``; the first and the last layers and dropout compute in float32.

    The first layer subtracts ``mid_grey``: in some networks with positive inputs only, all filters of the last
    convolution died in training, and one class was predicted for all particles.

    With the top ``masked``, black pixels are set to 0 before every convolution, like the padding of a convolution, so
    that more black around a particle changes nothing.

    With ``n_features``, the network has a second input, the particle features, shape (n, n_features). Its layer
    ``standardised`` (to be adapted to training rows) standardises them; a hidden layer of ``feature_units`` on them
    adds to the logits, which joins both inputs before the last layer (late fusion; thesis, section 12).

    Returns:
        A model with output shape (n, n_classes); the input of its layer ``classes`` is the embedding of the images.
    """
    import keras

    regularisation = options.regularisation
    if network.batch_norm:
        regularisation = regularisation.model_copy(update={"batch_norm": True})
    side = None if network.buckets_px else network.size_px
    image = keras.Input((side, side, options.n_channels), name="image")
    mask = _particle_mask(image) if network.top == "masked" else None
    x = keras.layers.Rescaling(1.0, offset=-options.mid_grey, dtype=FULL_PRECISION, name="centred")(image)
    x = _masked(x, "centred", mask)
    if network.stem:
        x = _convolution(x, "stem", network.stem, regularisation, mask)
    for number, channels in enumerate(network.blocks, start=1):
        strides = 2 if network.halve == "entry" and number > 1 else 1
        mask = _halved(mask, f"seen{number}_in") if strides == 2 else mask
        x = (_residual if network.residual else _plain)(x, number, channels, regularisation, mask, strides)
        if network.halve != "entry":
            mask = _halved(mask, f"seen{number}")
        if network.halve == "pool":
            x = keras.layers.MaxPooling2D(2, name=f"pool{number}")(x)
        elif network.halve == "stride":
            x = _convolution(x, f"stride{number}", channels[-1], regularisation, mask, strides=2)
        x = _dropout(f"dropout{number}", regularisation.dropout_block, regularisation)(x)
    inputs, logits = image, _top(x, mask, network, n_classes, regularisation)
    if options.n_features:
        features, more = _feature_logits(options, n_classes, regularisation)
        inputs, logits = [image, features], keras.layers.Add(dtype=FULL_PRECISION, name="joined")([logits, more])
    return keras.Model(inputs, keras.layers.Activation("softmax", dtype=FULL_PRECISION, name="probabilities")(logits))


def _plain(
    x: Any, number: int, channels: list[int], regularisation: RegularisationSettings, mask: Any, strides: int
) -> Any:
    for position, filters in enumerate(channels, start=1):
        first = strides if position == 1 else 1
        x = _convolution(x, f"conv{number}_{position}", filters, regularisation, mask, first)
    return x


def _residual(
    x: Any, number: int, channels: list[int], regularisation: RegularisationSettings, mask: Any, strides: int
) -> Any:
    import keras

    for position in range(0, len(channels), 2):
        name, (one, other) = f"conv{number}_{position + 1}", channels[position : position + 2]
        first, shortcut = strides if position == 0 else 1, x
        if first > 1 or x.shape[-1] != other:
            shortcut = keras.layers.Conv2D(other, 1, strides=first, use_bias=False, name=f"{name}_bridge")(x)
            shortcut = _normalised(shortcut, f"{name}_bridge", regularisation, rectified=False)
        x = _convolution(x, name, one, regularisation, mask, first)
        x = _convolution(x, f"conv{number}_{position + 2}", other, regularisation, mask, rectified=False)
        x = keras.layers.Activation("relu", name=f"{name}_out")(keras.layers.Add(name=f"{name}_sum")([x, shortcut]))
        x = _masked(x, f"{name}_out", mask)
    return x


def _convolution(
    x: Any,
    name: str,
    filters: int,
    regularisation: RegularisationSettings,
    mask: Any,
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
        kernel_regularizer=_weight_decay(regularisation),
        name=name,
    )(x)
    return _masked(_normalised(x, name, regularisation, rectified), name, mask)


def _normalised(x: Any, name: str, regularisation: RegularisationSettings, rectified: bool = True) -> Any:
    import keras

    if regularisation.batch_norm:
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x) if rectified else x


def _particle_mask(image: Any) -> Any:
    """1 if a pixel is not black in some channel, otherwise 0; shape (n, side, side, 1)."""
    import keras

    brightest = keras.ops.max(image, axis=-1, keepdims=True)
    return keras.layers.ReLU(max_value=1.0, name="not_black")(brightest * 255.0)  # one grey level of 8 bits becomes 1


def _halved(mask: Any, name: str) -> Any:
    """1 if a cell of 2 x 2 pixels covers any pixel of the particle."""
    import keras

    return None if mask is None else keras.layers.MaxPooling2D(2, name=name)(mask)


def _masked(x: Any, name: str, mask: Any, dtype: str | None = None) -> Any:
    import keras

    return x if mask is None else keras.layers.Multiply(dtype=dtype, name=f"{name}_seen")([x, mask])


def _top(x: Any, mask: Any, network: NetworkSettings, n_classes: int, regularisation: RegularisationSettings) -> Any:
    import keras

    if network.top == "dense":
        x = keras.layers.Flatten(name="flatten")(x)
        x = _hidden(x, "dense", network.dense_units, regularisation)
        return keras.layers.Dense(n_classes, dtype=FULL_PRECISION, name="classes")(x)
    if network.top == "masked":
        # Averaged before the last layer, which is linear, so that the embedding does not depend on padding either.
        x, mask = _in_full_precision(x), _in_full_precision(mask)
        parts = (_masked(x, "top", mask, FULL_PRECISION), mask)
        total, area = (keras.ops.sum(part, axis=(1, 2), keepdims=True) for part in parts)
        x = total / keras.ops.maximum(area, 1.0)
    x = keras.layers.Conv2D(n_classes, 1, dtype=FULL_PRECISION, name="classes")(x)
    return keras.layers.GlobalAveragePooling2D(dtype=FULL_PRECISION, name="average")(x)


def _in_full_precision(x: Any) -> Any:
    import keras

    # No layer is added for float32: the architecture of a network that is kept stays free of casts.
    return x if x.dtype == FULL_PRECISION else keras.ops.cast(x, FULL_PRECISION)


def _feature_logits(options: ModelOptions, n_classes: int, regularisation: RegularisationSettings) -> tuple[Any, Any]:
    """The second input, and its part of the logits."""
    import keras

    features = keras.Input((options.n_features,), name="features")
    x = keras.layers.Normalization(dtype=FULL_PRECISION, name="standardised")(features)
    x = keras.ops.clip(x, -FEATURE_LIMIT, FEATURE_LIMIT)
    x = _hidden(x, "features_dense", options.feature_units, regularisation)
    return features, keras.layers.Dense(n_classes, use_bias=False, dtype=FULL_PRECISION, name="features_classes")(x)


def _hidden(x: Any, name: str, units: int | None, regularisation: RegularisationSettings) -> Any:
    import keras

    x = keras.layers.Dense(
        units, use_bias=not regularisation.batch_norm, kernel_regularizer=_weight_decay(regularisation), name=name
    )(x)
    x = _normalised(x, name, regularisation)
    return _dropout(f"dropout_{name}", regularisation.dropout_dense, regularisation)(x)


def _dropout(name: str, rate: float, regularisation: RegularisationSettings) -> Any:
    import keras

    if regularisation.dropout_decay == 1.0:  # Keras's layer: the architecture loads without lipnet
        return keras.layers.Dropout(rate, dtype=FULL_PRECISION, name=name)  # 16 bits would round the rate
    from lipnet.classifiers.networks.dropout import DecayingDropout

    return DecayingDropout(rate, name=name)


def _weight_decay(regularisation: RegularisationSettings) -> Any:
    import keras

    return keras.regularizers.L2(regularisation.weight_decay) if regularisation.weight_decay else None
