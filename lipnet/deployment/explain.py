"""What a trained network looks at in an image, and which particle features it has come to measure (thesis, 4.4 and 10).

Signals are carried back from a unit to the pixels layer by layer, in NumPy, by a table of layer types. So the three
rules differ where they differ on paper, at ReLUs, and every piece can be tested as the transpose of what it undoes.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from lipnet.classifiers.networks.filters import CHUNK
from lipnet.classifiers.networks.prediction import predict
from lipnet.evaluation.comparison import holm
from lipnet.samples.crops import to_grey

if TYPE_CHECKING:
    import keras

Floats = NDArray[np.floating[Any]]
Rule = Literal["gradient", "deconvnet", "guided"]
RULES: tuple[Rule, ...] = get_args(Rule)


class Excitation(NamedTuple):
    """The images that excite the filters of a layer most, strongest first.

    Attributes:
        rows: of the images, shape (filters, k).
        places: row and column, in the layer's map, where the image excites the filter most, shape (filters, k, 2).
        values: the activations there, shape (filters, k).
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    values: Floats


class Patches(NamedTuple):
    """What excites filters most, and what of it does.

    Attributes:
        filters: their numbers, shape (filters,), ascending.
        patches: receptive fields in the images that excite each most, strongest first, shape (filters, k, side_px,
            side_px), grey levels 0 to 255, NaN beyond the image.
        reconstructions: the filter carried back from there, same shape.
    """

    filters: NDArray[np.int64]
    patches: Floats
    reconstructions: Floats


def backproject(model: "keras.Model", crops: NDArray[np.uint8], layer: str, unit: int, rule: Rule) -> Floats:
    """Carry one unit or filter back to the pixels, from where it is most active in each image.

    Max-pooling passes a signal to where the maximum was, the switches of Zeiler and Fergus (2014); convolutions and
    dense layers are transposed. At ReLUs ``gradient`` passes what was positive on the way forth, ``deconvnet`` (Zeiler
    and Fergus) what is positive on the way back, and ``guided`` (Springenberg et al. 2015) what is both.

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px).
        layer: name of the layer whose output is meant; any but the softmax.
        unit: index of the unit, or of the filter of a convolution.
        rule: which of the three.

    Returns:
        shape (n, size_px, size_px); what is carried back is 1 at the unit, so that this is activation per grey level.

    Raises:
        ValueError: no such layer, or the softmax.
    """
    values = forward(model, crops)
    output = values[_position(model, layer) + 1]
    most_active = output[..., unit].reshape(len(crops), -1).argmax(axis=1)
    signal = np.zeros((len(crops), output[0, ..., unit].size, output.shape[-1]))
    signal[np.arange(len(crops)), most_active, unit] = 1
    return backward(model, values, layer, signal.reshape(output.shape), rule)


def forward(model: "keras.Model", crops: NDArray[np.uint8]) -> list[Floats]:
    """What enters each layer, in order, and last what leaves the network.

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
    """The layers of a network, each of which feeds the next one alone.

    Raises:
        ValueError: it is no chain, as networks with bridges, joined features or a masked average are not.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    others = sorted({type(layer).__name__ for layer in layers} - {*_LINEAR, "Activation"})
    if others:
        raise ValueError(f"only networks that are a chain of layers are explained; this one has {', '.join(others)}")
    return layers


def backward(model: "keras.Model", values: list[Floats], layer: str, signal: Floats, rule: Rule) -> Floats:
    """Carry a signal at the output of a layer back to the pixels.

    Args:
        model: a LipNet.
        values: of ``forward``; they say where maxima were and what was positive.
        layer: name of the layer.
        signal: shape of its output for n images.
        rule: what ReLUs let pass, as in ``backproject``.

    Returns:
        shape (n, size_px, size_px).

    Raises:
        ValueError: no such layer, or the softmax.
    """
    position = _position(model, layer)
    for step, before in zip(chain(model)[position::-1], values[position::-1], strict=True):
        signal = transposed(step, before, signal, rule)
    return signal[..., 0]


def _position(model: "keras.Model", layer: str) -> int:
    names = [step.name for step in chain(model)]
    if layer not in names[:-1]:
        raise ValueError(f"'{layer}' is not a layer below the softmax; these are: {', '.join(names[:-1])}")
    return names.index(layer)


def transposed(layer: "keras.layers.Layer", before: Floats, signal: Floats, rule: Rule) -> Floats:
    """Carry a signal at the output of one layer to its input; linear but for what a rule clips.

    Args:
        layer: of a type that ``networks.build`` uses, but the softmax.
        before: its input.
        signal: shape of its output.
        rule: as in ``backproject``.

    Returns:
        shape of ``before``.
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
    reached = (np.array(signal.shape[1:3]) - 1) * step + 1  # from the first to the last place of the kernel
    whole = np.zeros((len(before), *np.maximum(reached + side - 1, shape), before.shape[-1]))
    for row, column in np.ndindex(side, side):
        places = np.s_[:, row : row + reached[0] : step, column : column + reached[1] : step]
        whole[places] += signal @ kernel[row, column].T
    top, left = (_padding(length, side, step) for length in shape)
    return whole[:, top : top + shape[0], left : left + shape[1]]


def _padding(length: int, side: int, step: int) -> int:
    # Zeros that a convolution with padding "same" puts before the first pixel; an odd one out comes after the last.
    return max((-(-length // step) - 1) * step + side - length, 0) // 2


def _to_maxima(layer: Any, before: Floats, signal: Floats) -> Floats:
    side = layer.pool_size[0]
    n, height, width, channels = signal.shape
    covered = before[:, : height * side, : width * side]  # what is left over at the end is in no window
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


def occlusion(model: "keras.Model", crop: NDArray[np.uint8], label: int, reach_px: int, grey: int = 128) -> Floats:
    """How much less probable a class becomes when a grey square hides a place (Zeiler and Fergus 2014).

    Args:
        model: a LipNet.
        crop: shape (size_px, size_px).
        label: index of the class.
        reach_px: from the centre of the square to its edge; its side is 2 reach_px + 1.
        grey: of the square, 0 to 255.

    Returns:
        shape (size_px, size_px): probability without minus probability with the square centred there.
    """
    along = np.arange(len(crop))
    hidden = np.abs(along[:, None] - along) <= reach_px
    squares = hidden[:, None, :, None] & hidden[None, :, None, :]
    images = np.where(squares, np.uint8(grey), crop).reshape(-1, *crop.shape)
    drop = predict(model, crop[None])[0, label] - predict(model, images)[:, label]
    return drop.reshape(crop.shape)


def receptive_field(model: "keras.Model", layer: str, place: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the image that a place in a layer's map depends on, for some weights and image.

    Args:
        model: a LipNet.
        layer: name of a layer whose output is a map, such as ``conv1_1_relu``.
        place: row and column in it.

    Raises:
        ValueError: no such layer, or its output is no map.
    """
    position = _position_of_map(model, layer)
    rows, columns = (_span(chain(model)[position::-1], axis, at) for axis, at in enumerate(place, start=1))
    return rows, columns


def _position_of_map(model: "keras.Model", layer: str) -> int:
    position = _position(model, layer)
    if len(chain(model)[position].output.shape) != 4:
        raise ValueError(f"the output of '{layer}' is no map: it has no rows and columns")
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
        low, high = max(low, 0), min(high, shape[axis])  # what lies beyond is padding, on which no pixel has a bearing
    return slice(low, high)


def most_exciting(model: "keras.Model", crops: NDArray[np.uint8], layer: str, k: int) -> Excitation:
    """Find the k images, and the place in each, that excite every filter of a layer most.

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px), n >= k.
        layer: name of a layer whose output is a map, such as ``conv1_1_relu``.
        k: how many.

    Raises:
        ValueError: no such layer, or its output is no map.
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
    """The deconvolutional network where max-pooling leaves switches, else guided backpropagation, which needs none."""
    pooled = any(type(layer).__name__ == "MaxPooling2D" for layer in chain(model))
    return "deconvnet" if pooled else "guided"


def excited_patches(
    model: "keras.Model", crops: NDArray[np.uint8], layer: str, n_filters: int, k: int, rule: Rule
) -> Patches:
    """Show what excites filters most, and what of it does, as Figure 2 of Zeiler and Fergus (2014).

    Args:
        model: a LipNet.
        crops: shape (n, size_px, size_px), n >= k.
        layer: name of a layer whose output is a map, such as ``conv1_1_relu``.
        n_filters: at most so many filters, those that any image excites most.
        k: how many images for each.
        rule: as in ``backproject``.

    Raises:
        ValueError: no such layer, or its output is no map.
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
    # What the first row or column of the image cuts off is missing there, so that middles of fields line up.
    height, width = part.shape
    top, left = (side_px - length if span.start == 0 else 0 for length, span in zip(part.shape, field, strict=True))
    tile = np.full((side_px, side_px), np.nan)
    tile[top : top + height, left : left + width] = part
    return tile


def embedding(model: "keras.Model", crops: NDArray[np.uint8]) -> Floats:
    """What the last layer sees of each image, shape (n, units); a linear map and softmax make probabilities of it.

    For a network whose maps of classes are averaged, the maps below are averaged instead, which is the same.

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
    part.compile(run_eagerly=True)  # for so few calls, tracing costs more than it saves
    for start in range(0, len(crops), CHUNK):
        yield part.predict_on_batch(to_grey(crops[start : start + CHUNK]))


def agreement(units: Floats, features: pd.DataFrame) -> pd.DataFrame:
    """Correlate units of a network with hand-crafted features: what the network has come to measure, and what it adds.

    Args:
        units: shape (n, units), such as an ``embedding``; n >= 3.
        features: n rows, a column a feature.

    Returns:
        A row a pair: feature, unit, spearman (rank correlation), p_holm: two-sided p-value by Student's t, after Holm's
        correction over all pairs. It takes particles as independent, which those of one micrograph are not quite. Both
        are NaN where a unit or a feature is constant or a feature has missing values.
    """
    n = len(units)
    rho = _standardised(features.to_numpy(np.float64)).T @ _standardised(units.astype(np.float64)) / n
    rho = np.clip(rho, -1, 1).ravel()  # rounding goes beyond
    with np.errstate(divide="ignore"):  # a correlation of 1 has a p-value of 0
        t = np.abs(rho) * np.sqrt((n - 2) / (1 - rho**2))
    pairs = pd.MultiIndex.from_product([features.columns, range(units.shape[1])], names=["feature", "unit"])
    table = pd.DataFrame({"spearman": rho, "p_holm": holm(2 * stats.t.sf(t, n - 2))}, index=pairs)
    return table.reset_index()


def _standardised(values: Floats) -> Floats:
    ranks = stats.rankdata(values, axis=0, nan_policy="propagate")
    centred = ranks - ranks.mean(axis=0)
    deviation = centred.std(axis=0)
    return centred / np.where(deviation > 0, deviation, np.nan)


def strongest(table: pd.DataFrame, of: Literal["feature", "unit"]) -> pd.DataFrame:
    """Of every feature or unit, the pair of ``agreement`` with the largest absolute correlation, strongest first."""
    ordered = table.dropna().sort_values("spearman", key=np.abs, ascending=False, kind="stable")
    return ordered.drop_duplicates(of).reset_index(drop=True)
