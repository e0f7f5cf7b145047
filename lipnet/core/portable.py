"""``portable: true``: results have the same bytes on every x86-64 processor with AVX2.

Numerical libraries choose their kernels by the processor, and kernels add numbers in different orders. Variables hold
the libraries to one choice. A library reads its variable when it is loaded, so ``stages/__init__.py`` sets them before
a stage imports anything else. benchmarks/results/portable.md shows which kernels depend on the processor otherwise.
"""

import os
import sys
from typing import Any

from lipnet.core.errors import InputError
from lipnet.core.settings import PARAMS, portable_of, read_params

VARIABLES = {
    # TensorFlow uses oneDNN only on processors with VNNI. Its own kernels cut sums by the size of the L1 cache, and its
    # softmax uses an approximate reciprocal, which differs between Intel and AMD. So: oneDNN on all of them.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",
}
EXCLUDED = "NPY_DISABLE_CPU_FEATURES"  # NumPy refuses to start if this is set too


def hold() -> None:
    """Set the variables if params.yaml in the working folder says ``portable: true``.

    In a process that has loaded NumPy it is too late, and nothing is set. The stage names the faults of params.yaml.
    """
    if "numpy" in sys.modules:
        return
    try:
        portable = portable_of(read_params(PARAMS))
    except InputError:
        return
    if portable:
        os.environ.pop(EXCLUDED, None)
        os.environ.update(VARIABLES)


def is_held() -> bool:
    """Whether the variables are set in this process."""
    return all(os.environ.get(name) == value for name, value in VARIABLES.items())


def check(params: dict[str, Any]) -> None:
    """Check that a stage is held if params say so.

    Raises:
        InputError: it is not.
    """
    if params.get("portable") is True and not is_held():
        raise InputError(
            "portable: true, but a numerical library was loaded first; start the stage with `python -m stages.NAME`"
        )


def as_text() -> str:
    """The variables as they are written before a command."""
    return " ".join(f"{name}={value}" for name, value in VARIABLES.items())
