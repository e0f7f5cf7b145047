"""Which kernels of the numerical libraries studies use: ``portable`` of studies/params.yaml, instead of params.yaml's.

Imports nothing that loads NumPy, so that the stage can choose before it is loaded.
"""

import os
from pathlib import Path
from typing import Any

from lipnet.core.errors import InputError
from lipnet.core.portable import VARIABLES
from lipnet.core.settings import portable_of, read_params

SETTINGS = Path("studies/params.yaml")


def choose() -> None:
    """Free the libraries, which ``stages/__init__.py`` held to AVX2, if studies/params.yaml says ``portable: false``.

    Without that file, or with a fault in it, nothing changes; the stage names the fault.
    """
    if not _portable({"portable": True}):
        for name in VARIABLES:
            os.environ.pop(name, None)


def read(path: Path) -> dict[str, Any]:
    """The parameters of the pipeline, with ``portable`` of the studies.

    Raises:
        InputError: the file cannot be read.
    """
    params = read_params(path)
    return {**params, "portable": _portable(params)}


def _portable(otherwise: dict[str, Any]) -> bool:
    try:
        return portable_of(read_params(SETTINGS))
    except InputError:
        return portable_of(otherwise)
