"""Model files: ONNX graphs whose metadata describe how to use them; every file is checked when it is read.

Model files are untrusted input. ONNX Runtime runs no code from them, and the metadata are compared with the graph.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from lipnet.core.errors import InputError
from lipnet.core.problems import CLASS_NAME, PROBLEM_NAME
from lipnet.core.settings import Settings
from lipnet.deployment import outliers
from lipnet.deployment.outliers import Reference
from lipnet.samples.crops import CHANNELS, CropSettings
from lipnet.samples.features import FeatureSettings
from lipnet.sources.formats import grey_levels
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.micrographs import MicrographSettings

METADATA_KEY = "lipnet"
NETWORK = "cnn"  # name of the network among the classifiers
PROBABILITIES = "probabilities"  # name of the output of every model
SUFFIX = ".onnx"
MAX_BYTES = 2**30  # limit of the file size; a LipNet takes 7 MB
BATCH = 64  # particles per batch; the activations of such a batch fit into the cache of a core

Name = Annotated[str, Field(pattern=f"^{PROBLEM_NAME.pattern}$", max_length=100)]
Share = Annotated[float, Field(ge=0, le=1)]


class ImageInput(Settings):
    """Crops of particles: float32, shape (n, size_px, size_px, n_channels), grey levels in [0, 1]; see ``crops``."""

    kind: Literal["image"] = "image"
    size_px: int = Field(ge=1, le=1024)
    mode: Literal["surrounding", "cropped", "masked", "both"]
    scale: Literal["fit", "constant"]
    field_px: int = Field(ge=1)

    @property
    def crop(self) -> CropSettings:
        """Settings that cut crops for this input."""
        return CropSettings(mode=self.mode, scale=self.scale, field_px=self.field_px, sizes_px=[self.size_px])

    @property
    def tensor(self) -> tuple[str, list[int]]:
        """Type of the tensor in the graph, and its shape without the first axis."""
        return "tensor(float)", [self.size_px, self.size_px, len(CHANNELS[self.mode])]


class FeatureInput(Settings):
    """Features of particles: unscaled, float64, shape (n, len(names)).

    Attributes:
        names: columns of the particle table, in order.
        given: the names of features that came with the training particles and cannot be measured.
    """

    kind: Literal["features"] = "features"
    names: list[str] = Field(min_length=1, max_length=10_000)
    given: list[str]

    @property
    def tensor(self) -> tuple[str, list[int]]:
        """Type of the tensor in the graph, and its shape without the first axis."""
        return "tensor(double)", [len(self.names)]


class Provenance(Settings):
    """Origin of a model; None means unknown.

    Attributes:
        git_revision: revision of the code that exported the model; ``-dirty`` is appended if files were modified.
        data_md5: MD5 of the packed training particles, as in dvc.lock.
        versions: library -> version.
    """

    git_revision: str | None
    data_md5: str | None
    versions: dict[str, str]


class Description(Settings):
    """Description of a model, stored in its file as JSON under the metadata key ``lipnet``.

    Attributes:
        format: version of this record.
        classifier: cnn, or the name of the SVM or of the trees.
        architecture: name of the network in params.yaml, svm, boosted or forest.
        problem: problem that the model was trained for.
        fold: fold of the cross-validation, counted over repeats; the model was not trained on its test particles.
        classes: the K class names, in the order of the output.
        inputs: name of an input of the graph -> its description.
        measures: settings for measuring features.
        micrographs: settings for cutting particles from whole images.
        grey: how samples become grey levels; of the training images, and of all images to predict.
        pixel_size_nm: smallest and largest pixel size of the training particles. Images are never resampled to
            another pixel size.
        label_smoothing: label smoothing in training; it is contained in the output probabilities.
        floor: lower limit of probabilities, applied after label smoothing is undone.
        training_prior: class shares that the output probabilities are for, shape (K,); set by balancing in training.
        natural_prior: class shares among the training particles, shape (K,).
        provenance: origin of the model.
        training: summary of the training particles of this model; None in files of earlier versions.
    """

    format: Literal[1] = 1
    classifier: Name
    architecture: Name
    problem: Name
    fold: int = Field(ge=0)
    classes: list[Annotated[str, Field(pattern=f"^{CLASS_NAME.pattern}$", max_length=100)]] = Field(min_length=2)
    inputs: dict[Name, Annotated[ImageInput | FeatureInput, Field(discriminator="kind")]] = Field(min_length=1)
    measures: FeatureSettings
    micrographs: MicrographSettings
    grey: GreySettings
    pixel_size_nm: tuple[float, float] | None
    label_smoothing: float = Field(ge=0, lt=1)
    floor: float = Field(gt=0, lt=0.1)
    training_prior: list[Share]
    natural_prior: list[Share]
    provenance: Provenance
    training: Reference | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is listed twice")
        for prior in (self.training_prior, self.natural_prior):
            if len(prior) != len(self.classes) or abs(sum(prior) - 1) > 1e-6:
                raise ValueError("a prior needs a share for every class, with sum 1")
        return self


@dataclass(frozen=True)
class Model:
    """A checked model file: its name, its description, and its session in ONNX Runtime.

    ``views``: predict the mean over the eight views of a particle: four rotations of the image, each also mirrored.
    """

    name: str
    description: Description
    session: Any
    views: bool = False

    def probabilities(self, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Probabilities of n particles as the model computes them, shape (n, K).

        Args:
            feeds: name of an input -> array with n rows.

        Raises:
            InputError: the output of the model is not probabilities.
        """
        views = _views(feeds) if self.views else [feeds]
        return np.mean([self._run(view) for view in views], axis=0)

    def _run(self, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        n = len(next(iter(feeds.values())))
        parts = [
            self.session.run([PROBABILITIES], {name: values[start : start + BATCH] for name, values in feeds.items()})
            for start in range(0, n, BATCH)
        ]
        probabilities = np.concatenate([part for [part] in parts]).astype(np.float64)
        if not (
            np.isfinite(probabilities).all()
            and (probabilities >= 0).all()
            and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)
        ):
            raise InputError(f"{self.name}: the model's output is not probabilities; export it again")
        return probabilities


def _views(feeds: dict[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    """The same particles in eight views; only images, which have four axes, differ."""
    turned = [
        {name: np.rot90(values, turns, axes=(1, 2)) if values.ndim == 4 else values for name, values in feeds.items()}
        for turns in range(4)
    ]
    return turned + [{name: v[:, :, ::-1] if v.ndim == 4 else v for name, v in view.items()} for view in turned]


def group(path: Path) -> dict[str, list[Model]]:
    """Read all models of a file or folder, by classifier.

    Raises:
        InputError: the path does not exist, or a file is not a model of lipnet.
    """
    models = dict[str, list[Model]]()
    for file in _files(path):
        model = _read(file)
        models.setdefault(model.description.classifier, []).append(model)
    return models


def together(models: Sequence[Model]) -> list[Model]:
    """The models of one classifier in the order of their folds.

    Raises:
        InputError: the models do not belong together.
    """
    _check_alike(models)
    return sorted(models, key=lambda model: model.description.fold)


def read_models(path: Path, classifier: str | None) -> list[Model]:
    """Read the models of one classifier, in the order of their folds.

    Args:
        path: an ONNX file, or a folder that ``lipnet export`` wrote.
        classifier: name of the classifier; None selects the network, or the only classifier if there is no network.

    Raises:
        InputError: as for ``group`` and ``together``, or the classifier is ambiguous or unknown.
    """
    models = group(path)
    wanted = classifier or (NETWORK if NETWORK in models else min(models))
    if wanted not in models or (classifier is None and wanted != NETWORK and len(models) > 1):
        raise unknown(path, sorted(models))
    return together(models[wanted])


def unknown(path: Path, names: Sequence[str]) -> InputError:
    """The error for a classifier that is not among the available names."""
    return InputError(f"{path}: choose a classifier with --classifier; available: {', '.join(names)}")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; `lipnet export` writes model files")
    found = sorted(path.glob(f"*{SUFFIX}"))
    if not found:
        raise InputError(f"{path}: contains no {SUFFIX} file; export models of a trained run with `lipnet export`")
    return found


def _read(path: Path) -> Model:
    import onnxruntime  # type: ignore[import-untyped]

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES} bytes; no model of lipnet is that large")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised as exceptions as well
    options.intra_op_num_threads = (
        1  # batches run in parallel; two threads of one batch would wait for each other on busy cores
    )
    try:
        # Pass bytes: a graph that is loaded by its path could read other files.
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime does not document the exceptions for damaged files
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: damaged or not an ONNX file ({reason}); export it again") from None
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise InputError(f"{path}: not written by `lipnet export`: its metadata do not describe classes and inputs")
    try:
        description = Description.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or METADATA_KEY
        raise InputError(f"{path}: metadata: {where}: {fault['msg']}; export it again with this version") from None
    _check_graph(path, session, description)
    return Model(path.name, description, session)


def _check_graph(path: Path, session: Any, description: Description) -> None:
    inputs = {name: item.tensor for name, item in description.inputs.items()}
    outputs = {PROBABILITIES: [len(description.classes)]}
    inputs_found = {item.name: (item.type, item.shape[1:]) for item in session.get_inputs()}
    outputs_found = {item.name: item.shape[1:] for item in session.get_outputs() if item.name == PROBABILITIES}
    for kind, described, found in (("input", inputs, inputs_found), ("output", outputs, outputs_found)):
        if described != found:
            raise InputError(
                f"{path}: the metadata describe {kind} {described}, the graph has {found}; export it again"
            )


def _check_alike(models: Sequence[Model]) -> None:
    may_differ = {"fold", "training_prior", "natural_prior", "pixel_size_nm", "provenance", "training"}
    descriptions = [model.description.model_dump(exclude=may_differ) for model in models]
    for model, description in zip(models, descriptions, strict=True):
        keys = [key for key, value in description.items() if value != descriptions[0][key]]
        if keys:
            raise InputError(
                f"{model.name} and {models[0].name} differ in {', '.join(keys)}; put the models of each run "
                "into a separate folder"
            )
    if len({model.description.fold for model in models}) < len(models):
        raise InputError(f"{models[0].name}: another file is of the same fold; remove one")


def priors(models: Iterable[Model]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Training priors and natural priors of the models, each of shape (n_models, K)."""
    pairs = [(model.description.training_prior, model.description.natural_prior) for model in models]
    training, natural = zip(*pairs, strict=True)
    return np.array(training), np.array(natural)


def references(models: Iterable[Model]) -> list[Reference]:
    """Summaries of the training particles of the models, one for each fold; empty if a model has none."""
    by_fold = {model.description.fold: model.description.training for model in models}
    found = [reference for reference in by_fold.values() if reference is not None]
    return found if len(found) == len(by_fold) else []


def in_words(name: str, description: Description) -> str:
    """What a model file says of itself, a line for each item; ``name`` is that of the file."""
    inputs = [f"{key}: {item.kind} {item.tensor[1]}" for key, item in description.inputs.items()]
    origin, training = description.provenance, description.training
    return "\n".join(
        [
            f"{name}: {description.architecture}, fold {description.fold}, for {description.problem}",
            f"  classes         {', '.join(description.classes)}",
            f"  inputs          {'; '.join(inputs)}",
            f"  grey levels     {grey_levels.in_words(description.grey)}",
            f"  training prior  {_percent(description.training_prior)}",
            f"  natural prior   {_percent(description.natural_prior)}",
            f"  trained on      {outliers.in_words(training) if training else 'unknown'}",
            f"  git revision    {origin.git_revision or 'unknown'}",
            f"  data MD5        {origin.data_md5 or 'unknown'}",
        ]
    )


def _percent(shares: Iterable[float]) -> str:
    return ", ".join(f"{share:.2%}" for share in shares)
