"""The LipNets (thesis, section 7, Figure 13): each is a row of the table ``networks`` in params.yaml, built here.

Keras 3 code that names no backend. Keras is imported where a network is built, so that reading settings costs nothing.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from lipnet.settings import Settings

if TYPE_CHECKING:
    import keras


class NetworkSettings(Settings):
    """One row of the table ``networks``.

    Attributes:
        size_px: side of the square grey input.
        blocks: channels of the 3 x 3 convolutions, block by block; each block ends by halving the side.
        halve: by 2 x 2 max-pooling, or by a 3 x 3 convolution of stride 2 (Springenberg et al. 2015).
        top: ``dense`` flattens into one hidden layer; ``average`` is a 1 x 1 convolution to K channels, averaged.
        dense_units: width of that hidden layer; for the top ``dense`` only.
    """

    size_px: int = Field(ge=4)
    blocks: list[Annotated[list[PositiveInt], Field(min_length=1)]] = Field(min_length=1)
    halve: Literal["pool", "stride"]
    top: Literal["dense", "average"]
    dense_units: PositiveInt | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        least = 2 ** len(self.blocks)
        if self.size_px < least:
            raise ValueError(f"{len(self.blocks)} blocks halve the side to nothing; size_px must be at least {least}")
        if (self.top == "dense") != (self.dense_units is not None):
            raise ValueError("dense_units goes with top: dense, and with no other")
        return self


class RegularisationSettings(Settings):
    """Section ``train_cnn.regularisation`` of params.yaml (thesis, section 5)."""

    dropout_block: float = Field(ge=0, lt=1)
    dropout_dense: float = Field(ge=0, lt=1)
    dropout_decay: float = Field(gt=0, le=1)
    weight_decay: float = Field(ge=0)
    batch_norm: bool


def build(
    network: NetworkSettings, n_classes: int, regularisation: RegularisationSettings, mid_grey: float
) -> "keras.Model":
    """Build a network that maps images of shape (n, size_px, size_px, 1) in [0, 1] to probabilities (n, n_classes).

    Its first layer subtracts ``mid_grey``: of networks that saw positive numbers only, some died within an epoch, every
    filter of the last convolution at once, and named one class for ever.
    """
    import keras

    layers: list[Any] = [keras.Input((network.size_px, network.size_px, 1), name="image")]
    layers.append(keras.layers.Rescaling(1.0, offset=-mid_grey, name="centred"))
    for number, channels in enumerate(network.blocks, start=1):
        for position, filters in enumerate(channels, start=1):
            layers += _convolution(f"conv{number}_{position}", filters, 1, regularisation)
        if network.halve == "pool":
            layers.append(keras.layers.MaxPooling2D(2, name=f"pool{number}"))
        else:
            layers += _convolution(f"stride{number}", channels[-1], 2, regularisation)
        layers.append(_dropout(f"dropout{number}", regularisation.dropout_block, regularisation))
    layers += _top(network, n_classes, regularisation)
    return keras.Sequential(layers)


def _convolution(name: str, filters: int, strides: int, regularisation: RegularisationSettings) -> list[Any]:
    import keras

    convolution = keras.layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same",
        use_bias=not regularisation.batch_norm,
        kernel_regularizer=_decay(regularisation),
        name=name,
    )
    return [convolution, *_rectified(name, regularisation)]


def _rectified(name: str, regularisation: RegularisationSettings) -> list[Any]:
    import keras

    norm = [keras.layers.BatchNormalization(name=f"{name}_norm")] if regularisation.batch_norm else []
    return [*norm, keras.layers.Activation("relu", name=f"{name}_relu")]


def _top(network: NetworkSettings, n_classes: int, regularisation: RegularisationSettings) -> list[Any]:
    import keras

    if network.top == "average":
        return [
            keras.layers.Conv2D(n_classes, 1, name="classes"),
            keras.layers.GlobalAveragePooling2D(name="average"),
            keras.layers.Activation("softmax", name="probabilities"),
        ]
    return [
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(
            network.dense_units,
            use_bias=not regularisation.batch_norm,
            kernel_regularizer=_decay(regularisation),
            name="dense",
        ),
        *_rectified("dense", regularisation),
        _dropout("dropout_dense", regularisation.dropout_dense, regularisation),
        keras.layers.Dense(n_classes, name="classes"),
        keras.layers.Activation("softmax", name="probabilities"),
    ]


def _dropout(name: str, rate: float, regularisation: RegularisationSettings) -> Any:
    import keras

    if regularisation.dropout_decay == 1.0:  # Keras's own layer, so that the architecture loads without lipnet
        return keras.layers.Dropout(rate, name=name)
    from lipnet.dropout import DecayingDropout

    return DecayingDropout(rate, name=name)


def _decay(regularisation: RegularisationSettings) -> Any:
    import keras

    return keras.regularizers.L2(regularisation.weight_decay) if regularisation.weight_decay else None
