"""Maps of the pixels that a trained network responds to (thesis, sections 4.4 and 10).

Signals are propagated back from a unit to the pixels, layer by layer, in NumPy; a table holds one function per type of
layer. So the three rules differ only at ReLUs, as in the papers, and tests can compare every function with the
transpose of its layer.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks.filters import CHUNK
from lipnet.classifiers.networks.prediction import predict
from lipnet.samples.crops import to_grey

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
Rule = Literal["gradient", "deconvnet", "guided"]
RULES: tuple[Rule, ...] = get_args(Rule)


class Excitation(NamedTuple):
    """The images that activate the filters of a layer most, strongest first.

    Attributes:
        rows: indices of the images, shape (filters, k).
        places: row and column, in the map of the layer, of the largest activation, shape (filters, k, 2).
        values: the largest activations, shape (filters, k).
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    values: Floats


class Patches(NamedTuple):
    """Image patches that activate filters most, and the pixels in them that cause the activation.

    Attributes:
        filters: numbers of the filters, shape (filters,), ascending.
        patches: receptive fields in the images that activate each filter most, strongest first, shape (filters, k,
            side_px, side_px), grey levels 0 to 255, NaN outside the image.
        reconstructions: maps of ``backproject`` in the same receptive fields, same shape.
    """

    filters: NDArray[np.int64]
    patches: Floats
    reconstructions: Floats


def backproject(model: "keras.Model", crops: NDArray[np.uint8], layer: str, unit: int, rule: Rule) -> Floats:
    """Propagate one unit or filter back to the pixels, from the place of its largest activation in each image.

    Max-pooling passes a signal to the place of the maximum (the switches of Zeiler and Fergus 2014); convolutions and
    dense layers are transposed. At ReLUs, ``gradient`` passes signals where the forward input was positive,
    ``deconvnet`` (Zeiler and Fergus 2014) passes positive signals, and ``guided`` (Springenberg et al. 2015) passes
    positive signals where the forward input was positive.

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px).
        layer: name of the layer of the unit; any layer below the softmax.
        unit: index of the unit, or of the filter of a convolution.
        rule: one of the three rules for ReLUs.

    Returns:
        Shape (n, size_px, size_px). The signal at the unit is 1, so the map is activation per grey level.

    Raises:
        ValueError: there is no such layer below the softmax.
    """
    values = forward(model, crops)
    output = values[_position(model, layer) + 1]
    most_active = output[..., unit].reshape(len(crops), -1).argmax(axis=1)
    signal = np.zeros((len(crops), output[0, ..., unit].size, output.shape[-1]))
    signal[np.arange(len(crops)), most_active, unit] = 1
    return backward(model, values, layer, signal.reshape(output.shape), rule)


def forward(model: "keras.Model", crops: NDArray[np.uint8]) -> list[Floats]:
    """Inputs of all layers, in order, followed by the output of the network.

    Args:
        model: a LipNet of L layers.
        crops: shape (n, size_px, size_px).

    Returns:
        L + 1 arrays; the first has shape (n, size_px, size_px, 1), grey levels in [0, 1].
    """
    import keras

    values: list[Floats] = [to_grey(crops)]
    for layer in chain(model):
        values.append(np.asarray(keras.ops.convert_to_numpy(layer(values[-1]))))
    return values


def chain(model: "keras.Model") -> list[Any]:
    """Layers of a network in which each layer feeds only the next one.

    Raises:
        ValueError: the network is not such a chain; it has skip connections, joined features or a masked average.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    others = sorted({type(layer).__name__ for layer in layers} - {*_LINEAR, "Activation"})
    if others:
        raise ValueError(f"only networks that are a chain of layers can be explained; this one has {', '.join(others)}")
    return layers


def backward(model: "keras.Model", values: list[Floats], layer: str, signal: Floats, rule: Rule) -> Floats:
    """Propagate a signal at the output of a layer back to the pixels.

    Args:
        model: a LipNet.
        values: result of ``forward`` for n images; used for the places of maxima and the signs at ReLUs.
        layer: name of the layer.
        signal: an array of the shape of the layer's output for n images.
        rule: rule for ReLUs, as in ``backproject``.

    Returns:
        Shape (n, size_px, size_px).

    Raises:
        ValueError: there is no such layer below the softmax.
    """
    position = _position(model, layer)
    for step, before in zip(chain(model)[position::-1], values[position::-1], strict=True):
        signal = transposed(step, before, signal, rule)
    return signal[..., 0]


def _position(model: "keras.Model", layer: str) -> int:
    names = [step.name for step in chain(model)]
    if layer not in names[:-1]:
        raise ValueError(f"'{layer}' is not a layer below the softmax; available: {', '.join(names[:-1])}")
    return names.index(layer)


def transposed(layer: "keras.layers.Layer", before: Floats, signal: Floats, rule: Rule) -> Floats:
    """Propagate a signal from the output of one layer to its input; linear, except where a rule clips.

    Args:
        layer: a layer of a type that ``architecture.build`` uses, other than the softmax.
        before: input of the layer.
        signal: an array of the shape of the layer's output.
        rule: as in ``backproject``.

    Returns:
        An array of the shape of ``before``.
    """
    kind = type(layer).__name__
    return _RELU[rule](before, signal) if kind == "Activation" else _LINEAR[kind](layer, before, signal)


_RELU: dict[Rule, Callable[[Floats, Floats], Floats]] = {
    "gradient": lambda before, signal: signal * (before > 0),
    "deconvnet": lambda _, signal: np.maximum(signal, 0),
    "guided": lambda before, signal: np.maximum(signal, 0) * (before > 0),
}


def _through_convolution(layer: Any, before: Floats, signal: Floats) -> Floats:
    kernel, step = np.asarray(layer.kernel), layer.strides[0]
    side = len(kernel)
    shape = np.array(before.shape[1:3])
    reached = (np.array(signal.shape[1:3]) - 1) * step + 1  # pixels from the first to the last position of the kernel
    whole = np.zeros((len(before), *np.maximum(reached + side - 1, shape), before.shape[-1]))
    for row, column in np.ndindex(side, side):
        places = np.s_[:, row : row + reached[0] : step, column : column + reached[1] : step]
        whole[places] += signal @ kernel[row, column].T
    top, left = (_padding(length, side, step) for length in shape)
    return whole[:, top : top + shape[0], left : left + shape[1]]


def _padding(length: int, side: int, step: int) -> int:
    # Zeros before the first pixel in a convolution with padding "same"; if their total is odd, one more is at the end.
    return max((-(-length // step) - 1) * step + side - length, 0) // 2


def _to_maxima(layer: Any, before: Floats, signal: Floats) -> Floats:
    side = layer.pool_size[0]
    n, height, width, channels = signal.shape
    covered = before[:, : height * side, : width * side]  # pixels left over at the end are in no window
    windows = covered.reshape(n, height, side, width, side, channels).transpose(0, 1, 3, 5, 2, 4)
    windows = windows.reshape(n, height, width, channels, side**2)
    switches = np.arange(side**2) == windows.argmax(axis=-1)[..., None]
    placed = (switches * signal[..., None]).reshape(n, height, width, channels, side, side)
    whole = np.zeros(before.shape)
    whole[:, : height * side, : width * side] = placed.transpose(0, 1, 4, 2, 5, 3).reshape(covered.shape)
    return whole


def _through_normalisation(layer: Any, _: Floats, signal: Floats) -> Floats:
    return signal * np.asarray(layer.gamma) / np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)


def _through_average(_: Any, before: Floats, signal: Floats) -> Floats:
    return np.broadcast_to(signal[:, None, None] / np.prod(before.shape[1:3]), before.shape)


def _unchanged(_layer: Any, _before: Floats, signal: Floats) -> Floats:
    return signal


_LINEAR: dict[str, Callable[[Any, Floats, Floats], Floats]] = {
    "Rescaling": lambda layer, _, signal: signal * layer.scale,
    "Conv2D": _through_convolution,
    "BatchNormalization": _through_normalisation,
    "MaxPooling2D": _to_maxima,
    "Dropout": _unchanged,
    "DecayingDropout": _unchanged,
    "Flatten": lambda _, before, signal: signal.reshape(before.shape),
    "Dense": lambda layer, _, signal: signal @ np.asarray(layer.kernel).T,
    "GlobalAveragePooling2D": _through_average,
}


def occlusion(
    model: "keras.Model", crop: NDArray[np.uint8], label: int, reach_px: int, grey: int = 128, step_px: int = 1
) -> Floats:
    """Drop of the probability of a class when a grey square covers a part of the image (Zeiler and Fergus 2014).

    Args:
        model: a LipNet that takes images only.
        crop: shape (size_px, size_px) or (size_px, size_px, n_channels).
        label: index of the class.
        reach_px: distance from the centre of the square to its edge; its side is 2 reach_px + 1.
        grey: grey level of the square, 0 to 255.
        step_px: distance between the centres of squares.

    Returns:
        Probability without the square minus probability with the square, shape (m, m): one value for each centre, from
        pixel ``step_px // 2`` on; with the step 1, for each pixel.
    """
    along = np.arange(len(crop))
    hidden = np.abs(along[step_px // 2 :: step_px, None] - along) <= reach_px
    squares = hidden[:, None, :, None] & hidden[None, :, None, :]
    channels = (1,) * (crop.ndim - 2)
    images = np.where(squares.reshape(*squares.shape, *channels), np.uint8(grey), crop).reshape(-1, *crop.shape)
    drop = predict(model, crop[None])[0, label] - predict(model, images)[:, label]
    return drop.reshape(len(hidden), len(hidden))


def receptive_field(model: "keras.Model", layer: str, place: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the image that a place in the map of a layer can depend on.

    Args:
        model: a LipNet.
        layer: name of a layer whose output is a map, such as ``conv1_1_relu``.
        place: row and column in the map.

    Raises:
        ValueError: there is no such layer below the softmax, or its output is not a map.
    """
    position = _position_of_map(model, layer)
    rows, columns = (_span(chain(model)[position::-1], axis, at) for axis, at in enumerate(place, start=1))
    return rows, columns


def _position_of_map(model: "keras.Model", layer: str) -> int:
    position = _position(model, layer)
    if len(chain(model)[position].output.shape) != 4:
        raise ValueError(f"the output of '{layer}' is not a map: it has no rows and columns")
    return position


def _span(layers: list[Any], axis: int, at: int) -> slice:
    low, high = at, at + 1
    for layer in layers:
        kind, shape = type(layer).__name__, layer.input.shape
        if kind == "Conv2D":
            side, step = layer.kernel_size[0], layer.strides[0]
            before = _padding(shape[axis], side, step)
            low, high = low * step - before, (high - 1) * step - before + side
        elif kind == "MaxPooling2D":
            low, high = low * layer.pool_size[0], high * layer.pool_size[0]
        low, high = max(low, 0), min(high, shape[axis])  # outside is padding, which depends on no pixel
    return slice(low, high)


def most_exciting(model: "keras.Model", crops: NDArray[np.uint8], layer: str, k: int) -> Excitation:
    """Find the k images that activate each filter of a layer most, and the place of the activation in each image.

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px), n >= k.
        layer: name of a layer whose output is a map, such as ``conv1_1_relu``.
        k: number of images per filter.

    Raises:
        ValueError: there is no such layer below the softmax, or its output is not a map.
    """
    width = chain(model)[_position_of_map(model, layer)].output.shape[2]
    peaks, places = [], []
    for maps in _outputs(model, crops, layer):
        flat = maps.reshape(len(maps), -1, maps.shape[-1])
        peaks.append(flat.max(axis=1))
        places.append(flat.argmax(axis=1))
    peak, place = np.concatenate(peaks), np.concatenate(places)
    rows = np.argsort(-peak, axis=0, stable=True)[:k].T
    filters = np.arange(len(rows))[:, None]
    at = np.stack(np.divmod(place[rows, filters], width), axis=-1)
    return Excitation(rows, at, peak[rows, filters])


def rule_for(model: "keras.Model") -> Rule:
    """Deconvolutional network for networks with max-pooling, else guided backpropagation, which needs no switches."""
    pooled = any(type(layer).__name__ == "MaxPooling2D" for layer in chain(model))
    return "deconvnet" if pooled else "guided"


def excited_patches(
    model: "keras.Model", crops: NDArray[np.uint8], layer: str, n_filters: int, k: int, rule: Rule
) -> Patches:
    """Find the patches that activate filters most, with reconstructions, as in Figure 2 of Zeiler and Fergus (2014).

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px), n >= k.
        layer: name of a layer whose output is a map, such as ``conv1_1_relu``.
        n_filters: maximum number of filters; those with the largest activations are selected.
        k: number of images per filter.
        rule: as in ``backproject``.

    Raises:
        ValueError: there is no such layer below the softmax, or its output is not a map.
    """
    found = most_exciting(model, crops, layer, k)
    filters = np.sort(np.argsort(-found.values[:, 0], stable=True)[:n_filters])
    fields = [
        [receptive_field(model, layer, tuple(place)) for place in found.places[unit].tolist()] for unit in filters
    ]
    side_px = max(span.stop - span.start for of_filter in fields for field in of_filter for span in field)
    patches, reconstructions = [], []
    for unit, of_filter in zip(filters, fields, strict=True):
        images = crops[found.rows[unit]]
        maps = backproject(model, images, layer, int(unit), rule)
        patches.append([_tile(image, field, side_px) for image, field in zip(images, of_filter, strict=True)])
        reconstructions.append([_tile(values, field, side_px) for values, field in zip(maps, of_filter, strict=True)])
    return Patches(filters, np.array(patches), np.array(reconstructions))


def _tile(image: NDArray[Any], field: tuple[slice, slice], side_px: int) -> Floats:
    part = image[field]
    # A field that the edge of the image cuts off is padded at that edge, so that the centres of all fields line up.
    height, width = part.shape
    top, left = (side_px - length if span.start == 0 else 0 for length, span in zip(part.shape, field, strict=True))
    tile = np.full((side_px, side_px), np.nan)
    tile[top : top + height, left : left + width] = part
    return tile


def embedding(model: "keras.Model", crops: NDArray[np.uint8]) -> Floats:
    """Input of the last layer for each image, shape (n, units); a linear map and softmax turn it into probabilities.

    A network that averages maps of classes has no such layer; its maps below are averaged instead, which is equivalent.

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px).
    """
    below = chain(model)[_position(model, "classes") - 1].name
    outputs = np.concatenate(list(_outputs(model, crops, below)))
    return outputs.mean(axis=(1, 2)) if outputs.ndim == 4 else outputs


def _outputs(model: "keras.Model", crops: NDArray[np.uint8], layer: str) -> Iterator[Floats]:
    import keras

    part = keras.Model(model.inputs[0], chain(model)[_position(model, layer)].output)
    part.compile(run_eagerly=True)  # there are few calls, so tracing would cost more time than it saves
    for start in range(0, len(crops), CHUNK):
        yield part.predict_on_batch(to_grey(crops[start : start + CHUNK]))
