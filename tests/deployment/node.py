"""Labels by ONNX Runtime in Node; tests skip if Node or its package cannot be installed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

SCRIPTS = Path(__file__).parents[1] / "node"


def install(folder: Path) -> Path:
    """A folder with the script and an installed onnxruntime-node."""
    for file in SCRIPTS.iterdir():
        shutil.copy(file, folder)
    # The scripts of the package download CUDA.
    words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node is not installed")
    if subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode:
        pytest.skip("npm cannot install onnxruntime-node")
    return folder


def labels(node: Path, model: Path, feeds: dict[str, NDArray[Any]]) -> list[int]:
    """Most probable class of every row, for arrays by the name of the input."""
    words = list[str]()
    for name, values in feeds.items():
        (node / f"{name}.values").write_bytes(values.tobytes())
        words += [name, f"{name}.values", ",".join(map(str, values.shape))]
    done = subprocess.run(
        ["node", "labels.mjs", str(model), *words], cwd=node, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
