"""Train stacks of networks, phase by phase and epoch by epoch: tasks in; weights and histories out."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from lipnet.classifiers.networks import checkpoints
from lipnet.classifiers.networks.checkpoints import Checkpoint
from lipnet.classifiers.networks.early_stopping import balanced_log_loss, best_epochs, is_over, split_validation
from lipnet.classifiers.networks.prediction import BATCH
from lipnet.classifiers.networks.settings import POLICIES, learning_rate
from lipnet.classifiers.networks.task import NetworkTask, Progress
from lipnet.classifiers.networks.training import (
    averaged,
    build,
    build_another,
    check_loss,
    dropout_seed,
    path_of,
    planned_epochs,
    record,
    steps_per_epoch,
)
from lipnet.classifiers.vectorised.engine import Finish, Result, Watch
from lipnet.classifiers.vectorised.pool import Place, Pool, padded, pool_of
from lipnet.classifiers.vectorised.program import PURPOSES, Course, Program, State, program_of
from lipnet.classifiers.vectorised.warping import plan
from lipnet.core.seeds import derive, generator
from lipnet.samples.balance import TrainingSet, epoch_rows, sampled_prior

SAVE_S = 30  # time between two checkpoints
PROBE = 25  # networks of the first program: its memory tells how many fit at once
MEMORY_SHARE = 0.9  # of the free memory that a program may use
Record = dict[str, Any]
# Settings of training that differ between networks of one program; of ``epochs``, only whether to stop early matters.
FREE: dict[str, Any] = {
    **dict.fromkeys(("average_epochs", "epochs", "heads", "join", "most_networks", "threads_per_fold", "views"), True),
    "optimiser": {"learning_rate", "schedule", "step_factor"},
}


@dataclass
class Fit:
    """One network in one phase of its training.

    Attributes:
        task: of the network.
        place: of its examples.
        training_set: of this phase.
        epochs: of this phase; the maximum while choosing epochs.
        done: the epochs so far.
        validation: rows of the task to validate on, while choosing epochs; otherwise None.
    """

    task: NetworkTask
    place: Place
    training_set: TrainingSet
    epochs: int
    done: Checkpoint
    validation: NDArray[np.int64] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the phase has ended."""
        if self.validation is not None:
            return is_over(self.done.validation_losses, self.task.training.epochs)
        return len(self.done.history) == self.epochs


class Stack(NamedTuple):
    """What all networks that are trained at once share.

    Attributes:
        program: that trains them.
        epoch: its epoch, compiled for ``size`` networks.
        pool: of the examples.
        steps: of an epoch.
        size: number of networks that the program takes.
    """

    program: Program
    epoch: Callable[[State, Course, Pool], tuple[State, jax.Array]]
    pool: Pool
    steps: int
    size: int


def train_all(
    tasks: Sequence[NetworkTask], finish: Finish[Result], watch: Watch, programs: Path | None
) -> Iterator[tuple[int, Result]]:
    """As ``engine.train_all``, whose checks have passed."""
    if programs is not None:
        jax.config.update("jax_compilation_cache_dir", str(programs))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # small programs too: there are many
    groups = defaultdict[tuple[Any, ...], list[int]](list)
    for number, task in enumerate(tasks):
        groups[_of_program(task)].append(number)
    for numbers in groups.values():
        for place, result in _train_group([tasks[number] for number in numbers], finish, watch):
            yield numbers[place], result


def _of_program(task: NetworkTask) -> tuple[Any, ...]:
    """What the program of a network depends on; networks with equal values are trained together."""
    augment, training = task.augment, task.training
    return (
        task.network.model_dump_json(),
        training.model_dump_json(exclude=FREE),
        training.epochs.choose == "early_stopping",
        task.images.shape[1:],
        task.features.shape[1],
        training.join.units if task.features.shape[1] else 0,
        len(task.training_set.class_weights),
        bool(augment.transforms) and (augment.interpolation, augment.fill, len(plan(augment).order)),
        bool(augment.noise_sd),
    )


def _train_group(tasks: Sequence[NetworkTask], finish: Finish[Result], watch: Watch) -> Iterator[tuple[int, Result]]:
    """Train tasks that need the same program, as many at once as the memory of the device holds."""
    template = build(tasks[0], tasks[0].training_set, POLICIES["float32"])
    pool, places = pool_of(tasks)
    stack = _stack(tasks, places, pool)
    for start in range(0, len(tasks), stack.size):
        some = slice(start, start + stack.size)
        trained = _train(stack, tasks[some], places[some], watch)
        for number, (weights, history) in enumerate(trained, start):
            if pool.features.size:  # Keras compiles the mean and spread of the features into the prediction
                template = build(tasks[number], tasks[number].training_set, POLICIES["float32"])
            template.set_weights(weights)
            yield number, finish(template, tasks[number], history)


def _stack(tasks: Sequence[NetworkTask], places: Sequence[Place], pool: Pool) -> Stack:
    """The program, compiled for as many of the tasks as fit."""
    program = program_of(tasks[0])
    steps = max(steps_per_epoch(task, task.training_set) for task in tasks)
    fit = Fit(tasks[0], places[0], tasks[0].training_set, 1, Checkpoint())
    one = (program.new_state(program.model.get_weights()), _course(program, fit, steps))

    def compiled(n: int) -> Any:
        def shape(value: NDArray[Any]) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((n, *np.shape(value)), np.asarray(value).dtype)

        return program.epoch.lower(*jax.tree.map(shape, one), pool).compile()

    wanted = min(len(tasks), tasks[0].training.most_networks or len(tasks))
    size = min(wanted, PROBE)
    epoch = compiled(size)
    most = max(int(size * _share_of_memory(epoch, pool)), 1)
    if wanted > size or size > most:
        size = -(-wanted // -(-wanted // most))  # stacks of equal size
        epoch = compiled(size)
    return Stack(program, epoch, pool, steps, size)


def _share_of_memory(epoch: Any, pool: Pool) -> float:
    """How often the memory that a compiled program needs beside the pool would fit into what is free."""
    needed, stats = epoch.memory_analysis(), jax.local_devices()[0].memory_stats()
    own = needed.argument_size_in_bytes + needed.temp_size_in_bytes + needed.output_size_in_bytes
    own -= needed.alias_size_in_bytes + sum(array.nbytes for array in pool)
    # A processor does not tell: its memory is that of the machine.
    here = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = stats["bytes_limit"] - stats["bytes_in_use"] if stats else here
    return MEMORY_SHARE * free / own


def _train(
    stack: Stack, tasks: Sequence[NetworkTask], places: Sequence[Place], watch: Watch
) -> list[tuple[list[NDArray[Any]], list[Record]]]:
    """Weights and history of each of the tasks, all trained at once."""
    pairs, choosing = list(zip(tasks, places, strict=True)), list[Fit]()
    if tasks[0].training.epochs.choose == "early_stopping":
        for task, place in pairs:
            training_set, validation = split_validation(task)
            most = task.training.epochs.most
            choosing.append(Fit(task, place, training_set, most, _read(task, "choosing"), validation))
        _run(stack, choosing, watch)
        epochs = [best_epochs(fit.done.validation_losses) for fit in choosing]
    else:
        epochs = [planned_epochs(task) for task in tasks]
    fits = [
        Fit(task, place, task.training_set, n, _read(task, "training"))
        for (task, place), n in zip(pairs, epochs, strict=True)
    ]
    states = _run(stack, fits, watch)
    chosen = [fit.done.history for fit in choosing] or [list[Record]()] * len(fits)
    return [
        (averaged(fit.done.epoch_weights) or stack.program.weights(state), before + fit.done.history)
        for fit, state, before in zip(fits, states, chosen, strict=True)
    ]


def _read(task: NetworkTask, phase: str) -> Checkpoint:
    return Checkpoint() if task.checkpoint is None else checkpoints.read(path_of(task.checkpoint, phase))


def _run(stack: Stack, fits: list[Fit], watch: Watch) -> list[State]:
    """Train all networks to the end of their phase; their states, on the host."""
    states = [_first_state(stack.program, fit) for fit in fits]
    state, saved = _stacked([*states, *states[-1:] * (stack.size - len(fits))]), monotonic()
    while running := [number for number, fit in enumerate(fits) if not fit.is_over]:
        courses = [_course(stack.program, fit, stack.steps) for fit in fits]
        absent = courses[-1]._replace(rows=np.full_like(courses[-1].rows, -1))  # fills up the stack
        courses += [absent] * (stack.size - len(fits))
        state, sums = stack.epoch(state, _stacked(courses), stack.pool)
        totals = np.asarray(sums, np.float64).sum(axis=1)
        probabilities = _predict(stack, state, fits) if fits[0].validation is not None else None
        averages = any(_is_averaged(fits[number]) for number in running)
        weights = stack.program.weights(jax.device_get(state._replace(moments=[]))) if averages else []
        progress = list[Progress]()
        for number in running:
            fit, n = fits[number], int((courses[number].rows >= 0).sum())
            if _is_averaged(fit):
                fit.done.epoch_weights.append([array[number] for array in weights])
            loss, accuracy = float(totals[number, 0] / n), float(totals[number, 1] / totals[number, 2])
            progress.append(_note(fit, loss, accuracy, None if probabilities is None else probabilities[number]))
        watch(progress)
        if monotonic() - saved >= SAVE_S or all(fit.is_over for fit in fits):
            _save(state, fits)
            saved = monotonic()
    return _each(state, len(fits))


def _first_state(program: Program, fit: Fit) -> State:
    """The state of a network after its last saved epoch, or of a new network."""
    if fit.done.variables:
        return program.from_list(fit.done.variables)
    policy = POLICIES[fit.task.training.precision]
    return program.new_state(build_another(fit.task, fit.training_set, policy).get_weights())


def _stacked(values: Sequence[Any]) -> Any:
    """One tree of arrays from several, along a new first axis."""
    return jax.tree.map(lambda *arrays: np.stack(arrays), *values)


def _each(state: State, n: int) -> list[State]:
    """The states of the first networks of a stack, on the host."""
    here = jax.device_get(state)
    return [jax.tree.map(lambda array, number=number: array[number], here) for number in range(n)]


def _course(program: Program, fit: Fit, steps: int) -> Course:
    """The next epoch of a network; without examples if its phase is over."""
    task, training_set = fit.task, fit.training_set
    epoch = min(len(fit.done.history), fit.epochs - 1)
    examples = epoch_rows(training_set, task.labels, generator("epoch", task.seed, task.fold, epoch))
    examples = examples[: 0 if fit.is_over else None]
    labels = np.concatenate([task.labels, training_set.synthetic_labels])[examples]
    in_batches = partial(padded, n=steps, size=task.training.batch_size)
    seeds = [dropout_seed(task, epoch, layer) for layer in program.seeded]
    return Course(
        rows=in_batches(fit.place.rows(examples, len(task.labels))),
        labels=in_batches(labels.astype(np.int32)),
        class_weights=training_set.class_weights.astype(np.float32),
        prior=sampled_prior(training_set, task.labels).astype(np.float32),
        learning_rate=np.float32(learning_rate(task.training.optimiser, epoch, fit.epochs)),
        dropout_seeds=np.array(seeds, np.uint32).reshape(-1, 2),
        dropout_scale=np.float32(task.training.regularisation.dropout_decay**epoch),
        seeds=np.array([derive(purpose, task.seed, task.fold, epoch) for purpose in PURPOSES], np.uint32),
        plan=plan(task.augment),
        noise_sd=np.float32(task.augment.noise_sd),
    )


def _is_averaged(fit: Fit) -> bool:
    """Whether the weights after the next epoch are among those to average."""
    left = fit.epochs - len(fit.done.history)
    return fit.validation is None and left <= fit.task.training.average_epochs


def _note(fit: Fit, loss: float, accuracy: float, probabilities: NDArray[np.float64] | None) -> Progress:
    """Record and report an epoch of a network."""
    task, epoch, of_validation = fit.task, len(fit.done.history), None
    check_loss(loss, "loss", task, epoch)
    if fit.validation is not None and probabilities is not None:
        of_validation = balanced_log_loss(task.labels[fit.validation], probabilities)
        check_loss(of_validation, "validation loss", task, epoch)
        fit.done.validation_losses.append(of_validation)
    phase, words = ("training", "training") if probabilities is None else ("choosing", "choosing epochs")
    fit.done.history.append(record(task, phase, epoch, loss, accuracy, of_validation))
    progress = Progress(task.fold, words, epoch + 1, fit.epochs, loss, accuracy)
    task.report(progress)
    return progress


def _predict(stack: Stack, state: State, fits: list[Fit]) -> list[NDArray[np.float64]]:
    """Probabilities of the validation rows of each network."""
    rows = [fit.place.rows(fit.validation, len(fit.task.labels)) for fit in fits if fit.validation is not None]
    longest = max(map(len, rows))
    size = min(longest, BATCH)
    filled = [padded(some, -(-longest // size), size) for some in rows]
    filled += filled[-1:] * (stack.size - len(rows))
    found = np.asarray(stack.program.predict(state.trainable, state.other, np.stack(filled), stack.pool), np.float64)
    found = found.reshape(len(filled), -1, found.shape[-1])
    return [some[: len(places)] for some, places in zip(found, rows, strict=False)]


def _save(state: State, fits: list[Fit]) -> None:
    if all(fit.task.checkpoint is None for fit in fits):
        return
    for fit, own in zip(fits, _each(state, len(fits)), strict=True):
        if fit.task.checkpoint is not None:
            fit.done.variables = [*own.trainable, *own.other, *own.moments]
            phase = "training" if fit.validation is None else "choosing"
            checkpoints.write(path_of(fit.task.checkpoint, phase), fit.done)
