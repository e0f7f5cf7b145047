"""Train many folds, of any classifiers, by the engine that their settings name: in processes or in one program."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lipnet.classifiers import registry
from lipnet.classifiers.networks.task import NetworkTask
from lipnet.classifiers.registry import Task, Trial
from lipnet.classifiers.vectorised import engine
from lipnet.classifiers.vectorised.engine import Watch
from lipnet.core.parallel import stream_as_done


def train_all(
    tasks: Sequence[Task], threads_per_task: int, watch: Watch, programs: Path | None
) -> Iterator[tuple[int, Trial]]:
    """Train and predict folds; yield the number of a task and its trial as soon as it is done, in any order.

    Args:
        tasks: folds to train.
        threads_per_task: of the numerical libraries, in processes.
        watch: as for ``engine.train_all``, of networks in one program.
        programs: as for ``engine.train_all``.

    Raises:
        InputError: training fails.
    """
    stacked = {number: one for number, one in enumerate(tasks) if isinstance(one, NetworkTask) and one.is_stacked}
    others = {number: one for number, one in enumerate(tasks) if number not in stacked}
    # First, because the engine refuses what it cannot train before it trains anything.
    for place, trial in engine.train_all(list(stacked.values()), registry.trial_of, watch, programs):
        yield list(stacked)[place], trial
    for place, trial in stream_as_done(registry.train, others.values(), threads_per_task):
        yield list(others)[place], trial
