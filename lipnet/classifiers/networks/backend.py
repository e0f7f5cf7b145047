"""Start Keras, and choose the device of a fold.

Keras is imported inside the functions: a parent process that only distributes folds does not pay for the import.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext


def start_keras() -> None:
    """Import Keras and start its backend, hiding the backend's warnings about missing devices."""
    # TensorFlow's C++ code writes to descriptor 2 before any setting of TensorFlow can stop it. Exceptions still pass.
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import keras

        keras.ops.zeros(1)
        # On any backend Keras imports TensorFlow, if it is installed, when it serialises something for the first time.
        keras.dtype_policies.serialize(keras.config.dtype_policy())
        # TensorFlow warns when one process compiles many training steps; here each fold compiles its own on purpose.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@contextmanager
def device_of(fold: int) -> Iterator[None]:
    """Start Keras and train on the device of this fold: folds take turns over the devices of the preferred kind."""
    start_keras()
    import keras

    found = devices()
    with keras.device(found[fold % len(found)]) if len(found) > 1 else nullcontext():
        yield


def devices() -> list[str]:
    """Names of the devices of the kind that the backend prefers."""
    import keras

    if keras.backend.backend() == "torch":  # Keras cannot list the devices of PyTorch
        import torch

        return [f"gpu:{number}" for number in range(torch.cuda.device_count())]
    return keras.distribution.list_devices()
