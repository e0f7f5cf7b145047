"""Which kernels of the numerical libraries studies use: ``portable`` of studies/params.yaml, instead of params.yaml's.

Imports nothing that loads NumPy, so that the stage can choose before it is loaded.
"""

import os
from pathlib import Path
from typing import Any

from lipnet.core.errors import InputError
from lipnet.core.portable import EXCLUDED, VARIABLES
from lipnet.core.settings import portable_of, read_params

SETTINGS = Path("studies/params.yaml")


def choose() -> None:
    """Hold the libraries to AVX2 or free them, whatever ``stages/__init__.py`` did for params.yaml.

    Without studies/params.yaml, or with a fault in it, nothing changes; the stage names the fault.
    """
    try:
        portable = portable_of(read_params(SETTINGS))
    except InputError:
        return
    if portable:
        os.environ.pop(EXCLUDED, None)
        os.environ.update(VARIABLES)
    else:
        for name in VARIABLES:
            os.environ.pop(name, None)


def read(path: Path) -> dict[str, Any]:
    """The parameters of the pipeline, with ``portable`` of the studies.

    Raises:
        InputError: the file cannot be read.
    """
    params = read_params(path)
    try:
        return {**params, "portable": portable_of(read_params(SETTINGS))}
    except InputError:
        return params
