"""The command ``lipnet``: use of trained models. Training is `dvc repro`.

Exit codes: 0, success; 1, the input or a part of it cannot be used; 2, the command line is wrong. Each command is a
function below that reads, calls the library and writes. Each function imports the libraries that it uses. So a command
starts fast and does not need the libraries of other commands.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lipnet.core.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

    from lipnet.deployment.model_files import Description, Model
    from lipnet.deployment.predict import PredictedBatch
    from lipnet.sources.micrograph_rows import Target
    from lipnet.sources.rows import Rejected, Source

THREADS = 2  # threads for prediction; more threads would wait for the lock of the Python interpreter

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX file, or a folder that `lipnet export` wrote")]
Classifier = Annotated[
    str | None, typer.Option(help="cnn or the name of an SVM; default: cnn, or the only classifier of MODEL")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the summary as JSON")]
Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="folder of images, table in the format of particles.csv, or micrograph with a label mask",
    ),
]
Masks = Annotated[
    Path | None,
    typer.Option(help="folder of masks with the same names as the images, or label mask of the micrograph"),
]
PaddingPx = Annotated[
    int | None,
    typer.Option(min=0, help="width of the surrounding in images of single particles, or to cut out of micrographs"),
]
PixelSizeNm = Annotated[
    float | None, typer.Option(min=1e-6, help="pixel size of particles for which the input has none")
]


def _print_version(asked: bool) -> None:
    if asked:
        revision = _revision(Path(__file__).parents[1])
        print(f"lipnet {version('lipnet')}" + (f" ({revision})" if revision else ""))
        raise typer.Exit


def _revision(folder: Path) -> str | None:
    """Git revision of the code in a folder, with -dirty if files were changed; None if the folder is not a checkout."""
    if not (folder / ".git").exists():  # an installed copy; a repository around it is not that of lipnet
        return None
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git here, or no commit
        return None


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Use models that the pipeline trained."""


def main() -> None:
    """Run a command. Errors that the user can correct end in one message and exit code 1."""
    try:
        app()
    except InputError as error:
        sys.exit(f"lipnet: {error}")
    except ModuleNotFoundError as error:
        sys.exit(
            f"lipnet: {error.name} is not installed; pip install 'lipnet[train]', or [predict] for predict and info"
        )
    except OSError as error:
        sys.exit(f"lipnet: {error}")


@app.command()
def predict(
    model: ModelPath,
    source: Input,
    to: Annotated[Path, typer.Option(help="CSV file to write")],
    masks: Masks = None,
    padding_px: PaddingPx = None,
    pixel_size_nm: PixelSizeNm = None,
    classifier: Classifier = None,
    shift: Annotated[
        float,
        typer.Option(min=0, max=1, help="strength of the shift to the natural class shares; 0: output of the model"),
    ] = 1.0,
    deployment_prior: Annotated[
        str | None, typer.Option(help='class shares to shift to instead, such as "Full=0.97,Empty=0.02,Uncertain=0.01"')
    ] = None,
    abstain_below: Annotated[
        float, typer.Option(min=0, max=1, help="flag particles whose predicted class is less probable than this")
    ] = 0.0,
    features: Annotated[bool, typer.Option(help="add the measured features to the table")] = True,
    viewer: Annotated[
        Path | None, typer.Option(help="folder to write files for napari, Fiji and QuPath into; for a micrograph")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Classify particles and write a CSV: one row per particle with class, probabilities, entropy and disagreement."""
    from lipnet.core import files
    from lipnet.deployment.model_files import read_models
    from lipnet.deployment.predict import join, notes, prior_of, summarise
    from lipnet.sources import rows
    from lipnet.sources.micrograph_rows import MicrographTask
    from lipnet.sources.unlabelled import open_unlabelled

    if deployment_prior is not None and shift == 0:
        raise typer.BadParameter("has no effect with --shift 0", param_hint="--deployment-prior")
    shares = None if deployment_prior is None else _shares(deployment_prior)
    models = read_models(model, classifier)
    description = models[0].description
    prior = None if shares is None else prior_of(shares, description.classes)
    opened = open_unlabelled(source, masks, padding_px, _given(description), description.micrographs)
    if viewer is not None and not any(isinstance(task, MicrographTask) for task in opened.tasks):
        raise InputError(f"{source}: --viewer needs a micrograph with a label mask")
    batches, rejected = _classify(source, opened, models, pixel_size_nm, features)
    table = join(batches, models, prior, shift, abstain_below)
    files.write_table(to, table)
    if viewer is not None:
        _write_viewer(viewer, source, masks, opened.tasks[0].targets, table, description)
    summary = summarise(table, rejected, models, notes(batches, description))
    print(json.dumps(summary, indent=2) if as_json else _in_words(summary, to))
    if rejected:
        found = len(table) + len(rejected)
        raise InputError(f"{len(rejected)} of {found} particles cannot be used\n{rows.summarise(rejected)}")


def _classify(
    source: Path, opened: "Source", models: "Sequence[Model]", pixel_size_nm: float | None, features: bool
) -> "tuple[list[PredictedBatch], list[Rejected]]":
    """Predictions of all tasks of an input, and everything that was rejected."""
    from concurrent.futures import ThreadPoolExecutor
    from functools import partial

    from tqdm import tqdm

    from lipnet.deployment.predict import predict_batch
    from lipnet.sources import rows

    work = partial(predict_batch, read=opened.read, models=models, pixel_size_nm=pixel_size_nm, with_features=features)
    # In threads: Python measures the features of one batch while ONNX Runtime runs the models on another.
    with ThreadPoolExecutor(THREADS) as pool:
        n_tasks = len(opened.tasks)
        batches = list(tqdm(pool.map(work, opened.tasks), "lipnet", n_tasks, delay=1, file=sys.stderr))
    rejected = [*opened.rejected, *(row for batch in batches for row in batch.rejected)]
    if not any(len(batch.known) for batch in batches):
        raise InputError(f"{source}: no particle can be used\n{rows.summarise(rejected)}")
    return batches, rejected


def _write_viewer(
    folder: Path, image: Path, masks: Path | None, targets: "Sequence[Target]", table: "DataFrame", about: "Description"
) -> None:
    from lipnet.core import files
    from lipnet.deployment.viewer import files_of
    from lipnet.sources.unlabelled import label_mask_of

    clip_percent = about.micrographs.clip_percent
    for name, content in files_of(image, label_mask_of(image, masks), targets, table, about.classes, clip_percent):
        files.write_bytes(folder / name, content)


def _shares(text: str) -> dict[str, float]:
    pairs = [item.rpartition("=") for item in text.split(",")]
    try:
        shares = {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        shares = {}
    if len(shares) < len(pairs):
        message = f"'{text}': give Class=share once for every class, separated by commas"
        raise typer.BadParameter(message, param_hint="--deployment-prior")
    return shares


def _given(description: "Description") -> list[str]:
    """Features that the input must contain, because they cannot be measured."""
    return [name for item in description.inputs.values() for name in getattr(item, "given", [])]


def _in_words(summary: dict[str, Any], to: Path) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in summary["classes"].items())
    lines = [
        f"{to}: {summary['particles']} particles by {len(summary['models'])} x {summary['classifier']}: {counts}; "
        f"{summary['abstained']} below the abstention limit",
        *(f"note: {note}" for note in summary["notes"]),
    ]
    return "\n".join(lines)


@app.command()
def suggest(
    model: ModelPath,
    source: Input,
    to: Annotated[Path, typer.Option(help="CSV file to write; a contact sheet is written beside it")],
    n: Annotated[int, typer.Option("-n", min=1, help="number of particles to suggest")] = 50,
    masks: Masks = None,
    padding_px: PaddingPx = None,
    pixel_size_nm: PixelSizeNm = None,
    classifier: Classifier = None,
    seed: Annotated[int, typer.Option(min=0, help="decides between particles that are equally useful")] = 0,
) -> None:
    """Choose the particles to label next: a table with an empty column for the class, and a contact sheet."""
    import io

    from lipnet.core import files
    from lipnet.deployment.model_files import read_models
    from lipnet.deployment.suggestions import sheet, suggest
    from lipnet.sources import rows
    from lipnet.sources.unlabelled import only, open_unlabelled, rows_of

    models = read_models(model, classifier)
    description = models[0].description
    opened = open_unlabelled(source, masks, padding_px, _given(description), description.micrographs)
    batches, rejected = _classify(source, opened, models, pixel_size_nm, features=True)
    table = suggest(batches, models, n, seed)
    chosen = only(opened, set(table["id"]))
    picture, content = sheet([item for task in chosen.tasks for item in chosen.read(task)], table), io.BytesIO()
    picture.save(content, "PNG")
    beside = to.with_name(f"{to.stem}_sheet.png")
    files.write_table(to, rows_of(chosen).merge(table, on="id").set_index("id").loc[table["id"]].reset_index())
    files.write_bytes(beside, content.getvalue())
    print(f"{to}: {len(table)} particles to label, most useful first; {beside}: their pictures")
    if rejected:
        raise InputError(f"{len(rejected)} particles cannot be used\n{rows.summarise(rejected)}")


@app.command()
def export(
    problem: Annotated[str, typer.Argument(help="problem of params.yaml")],
    to: Annotated[Path, typer.Option(help="folder to write")],
    run: Annotated[Path, typer.Option(help="folder of the pipeline, with params.yaml")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write the trained networks and SVMs of a problem as ONNX files, with a card that describes them."""
    from tqdm import tqdm

    from lipnet.core import files
    from lipnet.deployment.cards import card_of, to_markdown
    from lipnet.deployment.export import export_run
    from lipnet.deployment.runs import read_run

    read = read_run(run, problem)
    names = []
    for name, content in tqdm(export_run(read), "lipnet export", delay=1, file=sys.stderr):
        files.write_bytes(to / name, content)
        names.append(name)
    card = card_of(read, names)
    files.write_json(to / "card.json", card)
    files.write_text(to / "card.md", to_markdown(card))
    print(
        json.dumps({"folder": str(to), "files": names}, indent=2) if as_json else f"{to}: {len(names)} models, card.md"
    )


@app.command()
def explain(
    problem: Annotated[str, typer.Argument(help="problem of params.yaml")],
    to: Annotated[Path, typer.Option(help="folder to write")],
    particle: Annotated[
        list[str] | None,
        typer.Option(help="id of a particle; may be repeated; default: one particle per class of fold 0"),
    ] = None,
    run: Annotated[Path, typer.Option(help="folder of the pipeline, with params.yaml")] = Path(),
) -> None:
    """Draw maps of what the network of fold 0 responds to, and its agreement with particle features."""
    from lipnet.deployment.explain_files import explain_particles

    explain_particles(run, problem, particle or [], to)
    print(f"{to}: pictures and tables")


@app.command()
def report(
    problem: Annotated[str, typer.Argument(help="problem of params.yaml")],
    to: Annotated[Path, typer.Option(help="HTML file to write; label_errors.csv is written into the same folder")],
    run: Annotated[Path, typer.Option(help="folder of the pipeline, with params.yaml")] = Path(),
) -> None:
    """Write a page with the measures of all classifiers of a problem, and a table of likely label errors."""
    from lipnet.core import files
    from lipnet.deployment.report import make_report
    from lipnet.deployment.runs import read_evidence, read_run

    page, errors = make_report(read_run(run, problem), read_evidence(run, problem))
    beside = to.with_name("label_errors.csv")
    files.write_text(to, page)
    files.write_table(beside, errors)
    print(f"{to}: the report; {beside}: {len(errors)} labels to review")


@app.command()
def info(model: ModelPath, classifier: Classifier = None, as_json: AsJson = False) -> None:
    """Show the description of models: problem, classes, inputs, origin."""
    from lipnet.deployment.model_files import read_models

    models = [(one.name, one.description) for one in read_models(model, classifier)]
    if as_json:
        print(json.dumps({name: description.model_dump(mode="json") for name, description in models}, indent=2))
    else:
        print("\n\n".join(_page(name, description) for name, description in models))


def _page(name: str, description: "Description") -> str:
    inputs = [f"{key}: {item.kind} {item.tensor[1]}" for key, item in description.inputs.items()]
    origin = description.provenance
    return "\n".join(
        [
            f"{name}: {description.architecture}, fold {description.fold}, for {description.problem}",
            f"  classes         {', '.join(description.classes)}",
            f"  inputs          {'; '.join(inputs)}",
            f"  training prior  {_percent(description.training_prior)}",
            f"  natural prior   {_percent(description.natural_prior)}",
            f"  git revision    {origin.git_revision or 'unknown'}",
            f"  data MD5        {origin.data_md5 or 'unknown'}",
        ]
    )


def _percent(shares: Iterable[float]) -> str:
    return ", ".join(f"{share:.2%}" for share in shares)


if __name__ == "__main__":
    main()
