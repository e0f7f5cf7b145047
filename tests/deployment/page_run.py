"""A finished run with networks made by hand, and crops of many file formats to classify."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tifffile
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lipnet.core import files
from lipnet.core.settings import read_params
from lipnet.deployment.export import describe_network
from lipnet.deployment.graphs.files import finish
from lipnet.deployment.rules import FoldRule, Rules
from lipnet.deployment.runs import PipelineRun, read_run
from lipnet.samples import particles
from lipnet.samples.particles import Particle
from tests.deployment.finished_run import PROBLEM, ROOT, make_run, particle_table

SIZE_PX, N_FOLDS = 28, 2
COLOURED = (1, 7)  # numbers of crops modulo 14, see _write_crop
COSTS = [[0.0, 1.0], [3.0, 0.0]]
RULES = Rules(
    recommended="cnn",
    reason="The recommended classifier is cnn: it is the only one.",
    views=True,
    rules={
        "shifted": [FoldRule(of=["cnn"], shift=shift, costs=[[0, 1], [1, 0]]) for shift in (1.0, 0.5)],
        "fitted": [
            FoldRule(of=["cnn", "cnn_views"], shift=0.5, costs=COSTS, temperature=1.3, bias=[0.2, -0.2]),
            FoldRule(of=["cnn_views"], shift=1.0, costs=COSTS, prior=[0.7, 0.3], offsets=[0.0, 0.4]),
        ],
        "mixed": [FoldRule(of=["cnn", "svm"], shift=0.0, costs=COSTS)] * N_FOLDS,
    },
    left_out={"head": "the run does not keep it"},
)


AS_STORED = {"rule": "as_stored", "bits": None, "per": "particle", "low_percent": 0, "high_percent": 100}


def page_run(folder: Path, mode: str, scale: str, **grey: Any) -> PipelineRun:
    """A run whose network sees 28 px in a crop mode and scale; ``grey`` changes the rule of grey levels."""
    source = read_params(ROOT / "params.yaml")["source"] | {"kind": "table", "feature_columns": ["density"]}
    crop = {"mode": mode, "scale": scale, "field_px": 110, "sizes_px": [SIZE_PX]}
    row = {"size_px": SIZE_PX, "blocks": [[6], [6]], "halve": "pool", "top": "dense", "dense_units": 3}
    make_run(folder, crop=crop, networks={"tiny": row}, source=source | {"grey": AS_STORED | grey})
    files.write_table(folder / f"data/particles/{PROBLEM}.csv", particle_table().assign(width_px=range(30, 110, 10)))
    write_particles(folder, [np.full((6, 6), level, np.uint8) for level in range(50, 210, 20)])
    return read_run(folder, PROBLEM)


def write_particles(folder: Path, images: list[NDArray[Any]]) -> None:
    """Write the packed particles of a run; their masks are the images less a border of one pixel."""
    packed = []
    for number, image in enumerate(images):
        mask = np.zeros(image.shape, bool)
        mask[1:-1, 1:-1] = True
        packed.append(Particle(f"p{number}", "Dense", "g", image, mask))
    blocks = [particles.to_arrays(particles.pack(packed))]
    files.write_blocks(folder / f"data/particles/{PROBLEM}.npz", blocks)


def networks(run: PipelineRun, examples: NDArray[np.float32]) -> list[bytes]:
    """Convolutional networks of random weights, which predict both classes about equally often for the examples."""
    made = []
    for fold in range(N_FOLDS):
        rng, channels = np.random.default_rng(fold), examples.shape[3]
        weights = {
            "first": rng.normal(0, 1.5, (6, channels, 3, 3)),
            "second": rng.normal(0, 0.5, (6, 6, 3, 3)),
            "dense": rng.normal(0, 0.3, (6 * 7 * 7, 2)),
        }
        plain = _network(run, fold, weights, np.zeros(2))
        session = onnxruntime.InferenceSession(plain, providers=["CPUExecutionProvider"])
        logits = np.log(session.run(["probabilities"], {"image": examples})[0] + 1e-30)
        made.append(_network(run, fold, weights, -np.median(logits - logits[:, ::-1], axis=0) / 2))
    return made


def _network(run: PipelineRun, fold: int, weights: dict[str, NDArray[Any]], bias: NDArray[Any]) -> bytes:
    said = describe_network(run, fold)
    shape: list[Any] = ["n", *said.inputs["image"].tensor[1]]
    nodes = [helper.make_node("Transpose", ["image"], ["in0"], perm=[0, 3, 1, 2])]
    for number, name in enumerate(("first", "second")):
        nodes += [
            helper.make_node("Conv", [f"in{number}", name], [f"conv{number}"], auto_pad="SAME_UPPER"),
            helper.make_node("Relu", [f"conv{number}"], [f"relu{number}"]),
            helper.make_node("MaxPool", [f"relu{number}"], [f"in{number + 1}"], kernel_shape=[2, 2], strides=[2, 2]),
        ]
    nodes += [
        helper.make_node("Flatten", ["in2"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(values.astype("f"), name) for name, values in {**weights, "bias": bias}.items()],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return finish(model, said)


def write_crops(folder: Path, n: int) -> None:
    """Write n crops and their masks, in the folders crops and masks, in the formats that a page reads."""
    rng = np.random.default_rng(0)
    for number in range(n):
        height, width = rng.integers(24, 100, 2)
        noise = rng.normal(rng.uniform(40, 200), rng.uniform(5, 60), (height // 4 + 1, width // 4 + 1))
        grey = np.kron(noise, np.ones((4, 4)))[:height, :width] + rng.normal(0, 8, (height, width))
        place = Path(("", "a/", "a/b c/")[number % 3] + f"p{number}")
        _write_crop(folder / "crops" / place, grey, number, rng)
        y, x = np.ogrid[:height, :width]
        reach = rng.uniform(0.5, 1.2, 2) * (height, width) / 2
        mask = ((y - height / 2) / reach[0]) ** 2 + ((x - width / 2) / reach[1]) ** 2 <= 1
        _write_mask(folder / "masks" / place, mask, number)


def _write_crop(stem: Path, grey: NDArray[np.float64], number: int, rng: np.random.Generator) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    png, tif = stem.with_suffix(".png"), stem.with_suffix((".tif", ".TIFF")[number % 2])
    levels = grey.clip(0, 255).astype(np.uint8)
    match number % 14:
        case 0:
            Image.fromarray((grey.clip(0, 255) * 200).astype(np.uint16)).save(png)
        case 1:
            Image.fromarray(np.stack([levels, 255 - levels, levels // 2], axis=2)).save(png)
        case 2:
            Image.fromarray(levels).convert("P", palette=Image.Palette.ADAPTIVE, colors=17).save(png)
        case 3:
            Image.merge("LA", [Image.fromarray(levels), Image.fromarray(levels[::-1])]).save(png)
        case 4:
            tifffile.imwrite(tif, levels, photometric="miniswhite")
        case 5:
            tifffile.imwrite(tif, (grey * 90 + 9000).clip(0).astype(np.uint16), compression="lzw", predictor=True)
        case 6:
            tifffile.imwrite(tif, (grey / 300).clip(0, 1).astype(np.float32), compression="zlib", byteorder=">")
        case 7:
            tifffile.imwrite(tif, np.stack([levels] * 3, axis=2), photometric="rgb", rowsperstrip=7)
        case 8:
            Image.fromarray(levels // 64).convert("P").save(png, bits=2)
        case 9:
            tifffile.imwrite(tif, levels, tile=(16, 32), compression="zlib")
        case _:
            Image.fromarray(levels).save(png)


def _write_mask(stem: Path, mask: NDArray[np.bool_], number: int) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    match number % 4:
        case 0:
            Image.fromarray(mask).save(stem.with_suffix(".png"))  # one bit
        case 1:
            Image.fromarray(mask).save(stem.with_suffix(".tif"))  # one bit
        case 2:
            tifffile.imwrite(stem.with_suffix(".tif"), mask.astype(np.uint16))
        case _:
            Image.fromarray(mask.astype(np.uint8) * 255).save(stem.with_suffix(".png"))
