"""Kernels of a training step of the engine ``vectorised``, and the bytes that each reads and writes; nothing is run.

    python -m benchmarks.gpu_step [--networks 25] [--precisions bfloat16 float32] [--device h100 | here]

writes benchmarks/results/gpu_step.md. XLA compiles one step of LipNet-4 with full augmentation, for an NVIDIA H100 that
need not be there (the packages of requirements-gpu.lock are enough), or for the device that JAX finds. A kernel reads
each of its operands once and writes its result; what stays in a cache is not known. Without a GPU, XLA cannot try which
matrix product is fastest, so the program of a machine with one may differ in them.
"""

import argparse
import math
import os
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import RESULTS, table, write_results

BYTES = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8, "u64": 8}
NO_KERNELS = {"parameter", "constant", "bitcast", "tuple", "get-tuple-element"}
INSTRUCTION = re.compile(r"\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")  # name, type, kind, the rest
LAYER = re.compile(r"(transpose\()?jvp\((\w*)\)")
PARTICLES = 14_169  # of the thesis, for lamellarity
POOL = "pool_images"  # only the images of the batch are read from it
H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 84942979072
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  registers_per_block_limit: 65536 registers_per_core_limit: 65536
}
platform_name: "CUDA"
runtime_version { major: 12 minor: 8 }
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


class Kernel(NamedTuple):
    """One kernel of a program: the part of the step, and the bytes of its operands and its result."""

    part: str
    n_bytes: int


def main() -> None:
    """Compile, count, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", type=int, default=25)
    parser.add_argument("--precisions", nargs="+", choices=["bfloat16", "float32"], default=["bfloat16", "float32"])
    parser.add_argument("--device", choices=["h100", "here"], default="h100")
    parser.add_argument("--to", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    if arguments.device == "h100":
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_autotune_level=0"
    from benchmarks.training_arms import BATCH

    n_images = arguments.networks * BATCH
    parts = [f"One step of {arguments.networks} networks, {n_images} images, compiled for {arguments.device}.\n"]
    for precision in arguments.precisions:
        text, operations = _compiled(arguments.networks, precision, arguments.device)
        parts.append(_table(precision, kernels(text, n_images), n_images))
        parts.append(f"XLA's cost analysis of it: {operations / n_images / 1e6:.0f} MFLOP an image.\n")
    command = shlex.join(["gpu_step", *sys.argv[1:]])
    write_results("gpu_step", "Memory traffic of a training step", command, ["keras", "jax"], parts, arguments.to)


def _table(precision: str, some: list[Kernel], n_images: int) -> str:
    parts = defaultdict[str, list[int]](list)
    for kernel in some:
        parts[kernel.part].append(kernel.n_bytes)
    ordered = sorted(parts.items(), key=lambda item: -sum(item[1]))
    rows = [[part, str(len(sizes)), f"{sum(sizes) / n_images / 1e6:.3f}"] for part, sizes in ordered]
    total = [["all", str(len(some)), f"{sum(kernel.n_bytes for kernel in some) / n_images / 1e6:.2f}"]]
    return table([f"part of the step, {precision}", "kernels", "MB an image"], [*rows, *total])


def kernels(text: str, n_images: int) -> list[Kernel]:
    """The kernels of a compiled program.

    Args:
        text: of the program, as ``Compiled.as_text`` gives it.
        n_images: that a step reads from the pool of all images.
    """
    sizes, found = dict[str, int](), list[Kernel]()
    for name, kind, result, operands, rest in _instructions(text):
        sizes[name] = result
        if kind not in NO_KERNELS:
            read = sum(n_images * 4 * 28**2 if one.startswith(POOL) else sizes[one] for one in operands)
            found.append(Kernel(_part(rest), read + result))
    return found


def _instructions(text: str) -> Iterator[tuple[str, str, int, set[str], str]]:
    """Name, kind, bytes of the result, operands and the rest of each instruction of the main computation."""
    main_part = text[text.index("\nENTRY ") :]
    for match in filter(None, map(INSTRUCTION.match, main_part.splitlines())):
        name, kind_of_result, kind, rest = match.groups()
        operands = rest[: rest.index(")")]
        yield name, kind, _bytes(kind_of_result), set(re.findall(r"%([\w.\-]+)", operands)), rest


def _bytes(kind: str) -> int:
    shapes = re.findall(rf"\b({'|'.join(BYTES)})\[([\d,]*)\]", kind)
    return sum(BYTES[dtype] * math.prod(int(side) for side in shape.split(",") if side) for dtype, shape in shapes)


def _part(rest: str) -> str:
    """Part of the step that a kernel belongs to, from the names that JAX gives operations."""
    name = next(iter(re.findall(r'op_name="([^"]*)"', rest)), "")
    if layer := LAYER.search(name):
        return f"{layer[2] or 'between layers'}, {'backward' if layer[1] else 'forward'}"
    return "optimiser" if "_where" in name or "/add" in name else "augmentation and random numbers"


def _compiled(networks: int, precision: str, device: str) -> tuple[str, float]:
    """Text of the compiled program of one step, and its operations by XLA's cost analysis."""
    import jax

    from benchmarks.gpu_arms import tasks_of
    from lipnet.classifiers.vectorised.program import program_of

    (task,) = tasks_of(1, precision, 1, 1)
    program = program_of(task)
    sharding = jax.sharding.SingleDeviceSharding(_h100() if device == "h100" else jax.devices()[0])
    arguments = _arguments(program, task, networks)
    placed = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=sharding), arguments)
    # The analysis of a program for a device that is not there is empty; before it is compiled, it is the same for all.
    operations = program.epoch.lower(*arguments).cost_analysis()["flops"]
    return program.epoch.lower(*placed).compile().as_text(), operations


def _arguments(program: Any, task: Any, networks: int) -> Any:
    """State and course of an epoch of one step, and the pool of the thesis's particles: shapes and types."""
    import jax
    import jax.numpy as jnp

    from lipnet.classifiers.vectorised.pool import Pool
    from lipnet.classifiers.vectorised.program import PURPOSES, Course
    from lipnet.classifiers.vectorised.warping import plan

    Shape: Any = jax.ShapeDtypeStruct
    batch, n_classes = task.training.batch_size, len(task.training_set.class_weights)
    model, optimiser = program.model, program.optimiser
    variables = [*model.trainable_variables, *model.non_trainable_variables, *optimiser.variables]
    per_class, number = Shape((n_classes,), jnp.float32), Shape((), jnp.float32)
    course = Course(
        rows=Shape((1, batch), jnp.int32),
        labels=Shape((1, batch), jnp.int32),
        class_weights=per_class,
        prior=per_class,
        learning_rate=number,
        dropout_seeds=Shape((len(program.seeded), 2), jnp.uint32),
        dropout_scale=number,
        seeds=Shape((len(PURPOSES),), jnp.uint32),
        plan=plan(task.augment),
        noise_sd=number,
    )
    one = (program.from_list([variable.value for variable in variables]), course)
    stacked = jax.tree.map(lambda value: Shape((networks, *value.shape), value.dtype), one)
    pool = Pool(Shape((PARTICLES, *model.input_shape[1:]), jnp.uint8), Shape((0, 0), jnp.float32))
    return *stacked, pool


def _h100() -> Any:
    """An H100 to compile for, with the compiler of the JAX plugin for NVIDIA GPUs.

    Raises:
        SystemExit: the plugin is not installed.
    """
    from jax._src import xla_bridge
    from jax.experimental import topologies

    plugin, compiler = (_folder(name) for name in ("jax_plugins.xla_cuda12", "nvidia.cuda_nvcc"))
    if plugin is None or compiler is None:
        raise SystemExit("the JAX plugin for NVIDIA GPUs is not installed (requirements-gpu.lock); use --device here")
    os.environ["XLA_FLAGS"] += f" --xla_gpu_cuda_data_dir={compiler}"
    describe = partial(topologies.get_topology_desc, "h100", "cuda", target_config=H100, topology="1x1x1")
    try:
        topology = describe()
    except NotImplementedError:  # the plugin does not register itself on a machine without a GPU
        xla_bridge.register_plugin("cuda", library_path=str(plugin / "xla_cuda_plugin.so"))
        topology = describe()
    return topology.devices[0]


def _folder(package: str) -> Path | None:
    try:
        found = find_spec(package)
    except ModuleNotFoundError:
        return None
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places))) if places else None


if __name__ == "__main__":
    main()
