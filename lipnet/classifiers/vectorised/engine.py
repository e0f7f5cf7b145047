"""The engine ``vectorised``: all networks that need the same program are trained by one program on one device.

JAX is imported inside the function: stages that train in processes do not need it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lipnet.classifiers.networks.backend import start_keras
from lipnet.classifiers.networks.settings import check_engine
from lipnet.classifiers.networks.task import NetworkTask, Progress
from lipnet.classifiers.networks.training import check_features
from lipnet.core.errors import InputError

if TYPE_CHECKING:
    import keras

Result = TypeVar("Result")
Finish = Callable[["keras.Model", NetworkTask, list[dict[str, Any]]], Result]
Watch = Callable[[Sequence[Progress]], None]


def train_all(
    tasks: Sequence[NetworkTask], finish: Finish[Result], watch: Watch, programs: Path | None
) -> Iterator[tuple[int, Result]]:
    """Train networks; yield the number of a task and its result, those of a stack of networks together.

    Args:
        tasks: folds to train. Folds that differ in examples, seeds, number of epochs, learning rate, class weights or
            ordered subset of transforms share a program; as many as the memory of the device holds are trained at once.
        finish: (network with the trained weights, task, history) -> result. Its layers compute in float32; the network
            is used again for the next task.
        watch: called after every epoch with the progress of the networks that were trained in it.
        programs: folder of compiled programs, which another run need not compile again; None to keep none.

    Raises:
        InputError: the backend of Keras is not JAX, a network cannot be trained in this way; or as ``train_fold``.
    """
    for task in tasks:
        check_engine(task.network, task.training)
        check_features(task)
    if not tasks:
        return
    start_keras()
    import keras

    if keras.backend.backend() != "jax":
        raise InputError(
            f"train_cnn.engine vectorised needs Keras on JAX, and it runs on {keras.backend.backend()}; set the "
            "environment variable KERAS_BACKEND=jax or use engine processes"
        )
    from lipnet.classifiers.vectorised import training

    yield from training.train_all(tasks, finish, watch, programs)
