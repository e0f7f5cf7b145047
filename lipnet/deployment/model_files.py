"""Model files: ONNX graphs that carry, as metadata, all that their use needs, and are checked before they are believed.

A file may come from anybody. ONNX Runtime runs no code from it, and what its metadata say is compared with its graph.
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
from lipnet.samples.crops import CHANNELS, CropSettings
from lipnet.samples.features import FeatureSettings
from lipnet.sources.micrographs import MicrographSettings

METADATA_KEY = "lipnet"
PROBABILITIES = "probabilities"  # the output of every model
SUFFIX = ".onnx"
MAX_BYTES = 2**30  # a LipNet takes 7 MB
AT_ONCE = 64  # particles of a batch: what every convolution makes of them fits into the cache of a core

Name = Annotated[str, Field(pattern=f"^{PROBLEM_NAME.pattern}$", max_length=100)]
Share = Annotated[float, Field(ge=0, le=1)]


class ImageInput(Settings):
    """Crops of particles, float32, shape (n, size_px, size_px, n_channels), grey levels in [0, 1]; see ``crops``."""

    kind: Literal["image"] = "image"
    size_px: int = Field(ge=1, le=1024)
    mode: Literal["surrounding", "cropped", "masked", "both"]
    scale: Literal["fit", "constant"]
    field_px: int = Field(ge=1)

    @property
    def crop(self) -> CropSettings:
        """How crops for this input are cut."""
        return CropSettings(mode=self.mode, scale=self.scale, field_px=self.field_px, sizes_px=[self.size_px])

    @property
    def tensor(self) -> tuple[str, list[int]]:
        """Type and shape, without the first axis, of the tensor in the graph."""
        return "tensor(float)", [self.size_px, self.size_px, len(CHANNELS[self.mode])]


class FeatureInput(Settings):
    """Features of particles, unscaled, float64, shape (n, len(names)).

    Attributes:
        names: columns of the particle table, in order.
        given: those of them that came with the training particles and cannot be measured.
    """

    kind: Literal["features"] = "features"
    names: list[str] = Field(min_length=1, max_length=10_000)
    given: list[str]

    @property
    def tensor(self) -> tuple[str, list[int]]:
        """Type and shape, without the first axis, of the tensor in the graph."""
        return "tensor(double)", [len(self.names)]


class Provenance(Settings):
    """Where a model comes from; None where it is not known.

    Attributes:
        git_revision: of the code that exported it, with ``-dirty`` where files differed from it.
        data_md5: of the packed particles that it was trained on, as in dvc.lock.
        versions: of the libraries.
    """

    git_revision: str | None
    data_md5: str | None
    versions: dict[str, str]


class Description(Settings):
    """What a model file says of itself, as JSON under the metadata key ``lipnet``.

    Attributes:
        format: version of this record.
        classifier: cnn, or the name of the SVM.
        architecture: the network's row in params.yaml, or svm.
        problem: that it was trained for.
        fold: of the cross-validation, counted over repeats; its test particles were never seen in training.
        classes: the K class names, in order of the output.
        inputs: what the graph takes, by name.
        measures: how features are measured.
        micrographs: how particles were, or would have been, cut from whole images.
        pixel_size_nm: least and greatest pixel size of the training particles. No image is resampled to another one.
        label_smoothing: of the labels in training; the output states it too.
        floor: probabilities are raised to it once label smoothing is undone.
        training_prior: share of each class that training gave, which the output states; shape (K,).
        natural_prior: share of each class among the training particles, shape (K,).
        provenance: where the model comes from.
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
    pixel_size_nm: tuple[float, float] | None
    label_smoothing: float = Field(ge=0, lt=1)
    floor: float = Field(gt=0, lt=0.1)
    training_prior: list[Share]
    natural_prior: list[Share]
    provenance: Provenance

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
    """A checked model file: its name, what it says of itself, and its session in ONNX Runtime."""

    name: str
    description: Description
    session: Any

    def probabilities(self, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        """What the model states of n particles, shape (n, K).

        Args:
            feeds: an array for each of its inputs, with n rows.

        Raises:
            InputError: what comes out are no probabilities.
        """
        n = len(next(iter(feeds.values())))
        parts = [
            self.session.run([PROBABILITIES], {name: values[start : start + AT_ONCE] for name, values in feeds.items()})
            for start in range(0, n, AT_ONCE)
        ]
        stated = np.concatenate([part for [part] in parts]).astype(np.float64)
        if not (np.isfinite(stated).all() and (stated >= 0).all() and np.allclose(stated.sum(axis=1), 1, atol=1e-3)):
            raise InputError(f"{self.name}: the model's output is not probabilities; export it again")
        return stated


def read_models(path: Path, classifier: str | None) -> list[Model]:
    """The models of one classifier, in order of their folds.

    Args:
        path: an ONNX file, or a folder that ``lipnet export`` wrote.
        classifier: which of the folder; None: the network, or else the only one.

    Raises:
        InputError: there is no such file, one is not a model of lipnet, or they do not belong together.
    """
    models = [_read(file) for file in _files(path)]
    names = {model.description.classifier for model in models}
    wanted = classifier or ("cnn" if "cnn" in names else min(names))
    if wanted not in names or (classifier is None and wanted != "cnn" and len(names) > 1):
        raise InputError(f"{path}: choose a classifier with --classifier; there are {', '.join(sorted(names))}")
    chosen = [model for model in models if model.description.classifier == wanted]
    _check_alike(chosen)
    return sorted(chosen, key=lambda model: model.description.fold)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; `lipnet export` writes one")
    found = sorted(path.glob(f"*{SUFFIX}"))
    if not found:
        raise InputError(f"{path}: holds no {SUFFIX} file; make some from a trained run with `lipnet export`")
    return found


def _read(path: Path) -> Model:
    import onnxruntime  # type: ignore[import-untyped]

    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: larger than {MAX_BYTES} bytes, which no model of lipnet is")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes as an exception too
    options.intra_op_num_threads = 1  # batches run beside each other; and on busy cores two threads wait for each other
    try:
        # As bytes: a path would let the graph name other files to be read.
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime does not document what it throws at a damaged file
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: damaged or not an ONNX file ({reason}); export it again") from None
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise InputError(f"{path}: not written by `lipnet export`: it does not say what its classes and inputs are")
    try:
        description = Description.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or METADATA_KEY
        raise InputError(f"{path}: metadata: {where}: {fault['msg']}; export it again with this version") from None
    _check_graph(path, session, description)
    return Model(path.name, description, session)


def _check_graph(path: Path, session: Any, description: Description) -> None:
    said = {name: item.tensor for name, item in description.inputs.items()}
    said_out = {PROBABILITIES: [len(description.classes)]}
    found = {item.name: (item.type, item.shape[1:]) for item in session.get_inputs()}
    found_out = {item.name: item.shape[1:] for item in session.get_outputs() if item.name == PROBABILITIES}
    for which, ours, theirs in (("input", said, found), ("output", said_out, found_out)):
        if ours != theirs:
            raise InputError(f"{path}: metadata promise {which} {ours}, the graph has {theirs}; export it again")


def _check_alike(models: Sequence[Model]) -> None:
    different = {"fold", "training_prior", "natural_prior", "pixel_size_nm", "provenance"}
    alike = [model.description.model_dump(exclude=different) for model in models]
    for model, one in zip(models, alike, strict=True):
        keys = [key for key, value in one.items() if value != alike[0][key]]
        if keys:
            raise InputError(
                f"{model.name} and {models[0].name} differ in {', '.join(keys)}; put models of different runs into "
                "folders of their own"
            )
    if len({model.description.fold for model in models}) < len(models):
        raise InputError(f"{models[0].name}: another file holds the same fold; remove one")


def priors(models: Iterable[Model]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Training and natural prior of each model, both of shape (n_models, K)."""
    pairs = [(model.description.training_prior, model.description.natural_prior) for model in models]
    training, natural = zip(*pairs, strict=True)
    return np.array(training), np.array(natural)
