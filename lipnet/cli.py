"""The command ``lipnet``: use of trained models. Training is `dvc repro`.

Exit codes: 0, success; 1, the input or a part of it cannot be used; 2, the command line is wrong. Each command is a
function below that reads, calls the library and writes. Each function imports the libraries that it uses. So a command
starts fast and does not need the libraries of other commands.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from lipnet.core.errors import InputError
from lipnet.options import (
    AsJson,
    Classifier,
    Input,
    Inputs,
    Masks,
    ModelPath,
    PaddingPx,
    PixelSizeNm,
    RunPath,
    Stale,
    class_shares,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    sources: Inputs,
    to: Annotated[Path, typer.Option(help="CSV file to write; a summary is written beside it")],
    masks: Masks = None,
    padding_px: PaddingPx = None,
    pixel_size_nm: PixelSizeNm = None,
    classifier: Classifier = None,
    shift: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="strength of the shift to the natural class shares; 0: output of the model; default: as in the report",
        ),
    ] = None,
    deployment_prior: Annotated[
        str | None, typer.Option(help='class shares to shift to instead, such as "Full=0.97,Empty=0.02,Uncertain=0.01"')
    ] = None,
    abstain_below: Annotated[
        float, typer.Option(min=0, max=1, help="flag particles whose predicted class is less probable than this")
    ] = 0.0,
    features: Annotated[bool, typer.Option(help="add the measured features to the table")] = True,
    outliers: Annotated[
        bool, typer.Option(help="compare the particles with the training particles; this needs their features")
    ] = True,
    viewer: Annotated[
        Path | None, typer.Option(help="folder to write files for napari, Fiji and QuPath into; for a micrograph")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            help="column of the table that names the sample of each particle; default: each INPUT is a sample"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Classify particles and write a CSV: one row per particle with class, probabilities, entropy and disagreement."""
    from lipnet.core import files
    from lipnet.deployment import rules
    from lipnet.deployment.predict import classify, comparison, in_words, join, notes, prior_of, summarise
    from lipnet.deployment.shares.samples import find, record_for, samples_of
    from lipnet.deployment.shares.samples import write as write_shares
    from lipnet.deployment.viewer import files_of_all, label_masks
    from lipnet.sources import rows
    from lipnet.sources.unlabelled import left_out_in_words, open_all

    if deployment_prior is not None and shift == 0:
        raise typer.BadParameter("has no effect with --shift 0", param_hint="--deployment-prior")
    shares = None if deployment_prior is None else class_shares(deployment_prior)
    chosen = rules.read_classifier(model, classifier)
    rules.check_options(chosen, shift, shares is not None)
    models, description = chosen.models, chosen.description
    prior = None if shares is None else prior_of(shares, description.classes)
    # A prior that the user gives has an effect only if the probabilities are shifted to it.
    strength = shift if shift is not None else (chosen.shift if prior is None else 1.0)
    opened = open_all(sources, masks, padding_px, chosen.given, description.micrographs, description.grey)
    if viewer is not None and not label_masks(opened):
        raise InputError(f"{sources[0]}: --viewer needs a micrograph with a label mask")
    sample_of = samples_of(opened, sources, sample)
    batches, unused = classify(opened, models, pixel_size_nm, features, _bar, outliers)
    rejected = [row for row in unused if row.fault]
    table = join(batches, models, prior, strength, abstain_below, chosen.rules)
    files.write_table(to, table)
    estimated = find(batches, chosen, table, sample_of, record_for(model, chosen.name), _bar)
    write_shares(to, estimated.proportions)
    if viewer is not None:
        for name, content in files_of_all(opened, table, description):
            files.write_bytes(viewer / name, content)
    said = [*comparison(batches, models, outliers), *notes(batches, description)]
    said += [*left_out_in_words(row for row in unused if not row.fault), *estimated.notes]
    summary = summarise(table, rejected, models, said, chosen.name)
    files.write_json(to.with_name(f"{to.stem}_summary.json"), summary)
    print(json.dumps(summary, indent=2) if as_json else in_words(summary, to))
    if rejected:
        found = len(table) + len(rejected)
        raise InputError(f"{len(rejected)} of {found} particles cannot be used\n{rows.summarise(rejected)}")


def _bar(results: Iterable[Any], n: int) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(results, "lipnet", n, delay=1, file=sys.stderr)


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
    from lipnet.deployment.predict import classify
    from lipnet.deployment.rules import read_classifier
    from lipnet.deployment.suggestions import sheet, suggest
    from lipnet.sources import rows
    from lipnet.sources.unlabelled import only, open_unlabelled, rows_of

    models = read_classifier(model, classifier)
    about = models.description
    opened = open_unlabelled(source, masks, padding_px, models.given, about.micrographs, about.grey)
    batches, unused = classify([opened], models.models, pixel_size_nm, True, _bar, compare=False)
    rejected = [row for row in unused if row.fault]
    table = suggest(batches, models.models, n, seed)
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
    to: Annotated[Path | None, typer.Option(help="folder to write")] = None,
    page: Annotated[
        Path | None, typer.Option(help="HTML file to write, which classifies crops in a browser; needs no network")
    ] = None,
    classifier: Annotated[str | None, typer.Option(help="of the page; default: the recommended one")] = None,
    run: RunPath = Path(),
    stale: Stale = False,
    as_json: AsJson = False,
) -> None:
    """Write the trained classifiers of a problem as ONNX files, with their decision rules and a card, or as a page."""
    from tqdm import tqdm

    from lipnet.core import files
    from lipnet.deployment import page as pages
    from lipnet.deployment.export import export_networks, export_run, references_of, write_card
    from lipnet.deployment.model_files import NETWORK
    from lipnet.deployment.recommendation import rules_of
    from lipnet.deployment.runs import read_run, read_scores
    from lipnet.deployment.shares.samples import carry

    if to is None and page is None:
        raise typer.BadParameter("give a folder, or --page FILE", param_hint="--to")
    if classifier is not None and page is None:
        raise typer.BadParameter("is for --page only; a folder holds all classifiers", param_hint="--classifier")
    read = read_run(run, problem, stale)
    rules = rules_of(read, read_scores(read))
    # Before the export, because what can be wrong with a page is known at once.
    make_page = None if page is None else pages.prepare(read, rules, classifier, run / pages.LIBRARIES)
    names, networks = list[str](), list[bytes]()
    exported = export_networks(read, references_of(read)) if to is None else export_run(read)
    for name, content in tqdm(exported, "lipnet export", delay=1, file=sys.stderr):
        if to is not None:
            files.write_bytes(to / name, content)
            names.append(name)
        if page is not None and name.startswith(f"{NETWORK}_fold"):
            networks.append(content)
    said = list[str]()
    if to is not None:
        write_card(to, read, rules, names)
        said.append(f"{to}: {len(names)} models, card.md. {rules.reason}")
        if not carry(run, problem, to):
            said.append("the run has no corrections of class shares (data/proportions), so predict only counts classes")
    if page is not None and make_page is not None:
        files.write_text(page, make_page(networks))
        said.append(f"{page}: the page, {page.stat().st_size / 1e6:.0f} MB; open it in a browser")
    summary = {"folder": None if to is None else str(to), "files": names, "page": None if page is None else str(page)}
    print(json.dumps(summary, indent=2) if as_json else "\n".join(said))


@app.command()
def check(
    problem: Annotated[str | None, typer.Argument(help="problem of params.yaml; default: all in `problems`")] = None,
    run: RunPath = Path(),
) -> None:
    """Check all settings, and look at the particles: masks, classes, grey levels, duplicates, sizes."""
    from lipnet.core.recipes import with_recipe
    from lipnet.core.settings import read_params
    from lipnet.deployment.checks.data_checks import look_at
    from lipnet.deployment.checks.validation import validate

    params = read_params(run / "params.yaml")
    validate(params)
    print("params.yaml: no faults")
    stops = False
    for name in [problem] if problem else params["problems"]:
        looked_at, findings = look_at(with_recipe(params), name, run)
        print(f"{name}: {looked_at}")
        for finding in findings:
            print(f"  {'fault' if finding.stops else 'warning'}: {finding.text}")
        stops |= any(finding.stops for finding in findings)
    if stops:
        raise InputError("the pipeline would stop; correct the faults above")


@app.command()
def explain(
    problem: Annotated[str, typer.Argument(help="problem of params.yaml")],
    to: Annotated[Path, typer.Option(help="folder to write")],
    particle: Annotated[
        list[str] | None,
        typer.Option(help="id of a particle; may be repeated; default: one particle per class of fold 0"),
    ] = None,
    run: RunPath = Path(),
    stale: Stale = False,
) -> None:
    """Draw maps of what the network of fold 0 responds to, and its agreement with particle features."""
    from lipnet.deployment.explanations.explain_files import explain_particles

    explain_particles(run, problem, particle or [], to, stale)
    print(f"{to}: pictures and tables")


@app.command()
def report(
    problem: Annotated[str, typer.Argument(help="problem of params.yaml")],
    to: Annotated[Path, typer.Option(help="HTML file to write; label_errors.csv is written into the same folder")],
    run: RunPath = Path(),
    stale: Stale = False,
    maps: Annotated[bool, typer.Option(help="draw occlusion maps of the network, which starts TensorFlow")] = True,
) -> None:
    """Write a page with the measures of all classifiers of a problem, and a table of likely label errors."""
    from lipnet.core import files
    from lipnet.deployment.reports.report import make_report
    from lipnet.deployment.runs import read_evidence, read_run

    page, errors = make_report(read_run(run, problem, stale), read_evidence(run, problem), maps)
    beside = to.with_name("label_errors.csv")
    files.write_text(to, page)
    files.write_table(beside, errors)
    print(f"{to}: the report; {beside}: {len(errors)} labels to review")


@app.command("compare-runs")
def compare_runs(
    first: Annotated[str, typer.Argument(metavar="A", help="git revision, run folder, or DVC experiment")],
    second: Annotated[str, typer.Argument(metavar="B", help="the same; for example . for the present folder")],
    to: Annotated[Path | None, typer.Option(help="HTML page to write, with the pictures of both runs")] = None,
    run: Annotated[Path, typer.Option(help="folder of the pipeline, in a git repository")] = Path(),
) -> None:
    """Say whether run B is better than run A: a sentence, a table with tests on the same folds, the parameters."""
    from lipnet.core import files
    from lipnet.deployment.compare_runs import compare, to_html, to_text
    from lipnet.deployment.revisions import find_revision, read_results

    one, other = find_revision(first, run), find_revision(second, run)
    compared = compare(read_results(one), read_results(other))
    print(to_text(compared))
    if to is not None:
        files.write_text(to, to_html(compared, (one.pictures(), other.pictures())))
        print(f"\n{to}: the page")


@app.command("compare-samples")
def compare_samples(
    first: Annotated[str, typer.Argument(metavar="A", help="OUT_proportions.csv of `lipnet predict`, or FILE::SAMPLE")],
    second: Annotated[str, typer.Argument(metavar="B", help="the same")],
    to: Annotated[Path | None, typer.Option(help="CSV file to write")] = None,
) -> None:
    """Say whether the class shares of sample B differ from those of sample A: differences with intervals."""
    from lipnet.core import files
    from lipnet.deployment.shares import differences

    one, other = differences.choose(first), differences.choose(second)
    table = differences.compare(one, other)
    print(differences.in_words(table, one, other))
    if to is not None:
        files.write_table(to, table)


@app.command()
def info(model: ModelPath, classifier: Classifier = None, as_json: AsJson = False) -> None:
    """Show the description of models: problem, classes, inputs, origin, and which classifier is recommended."""
    from lipnet.deployment import model_files, rules

    about = rules.read(model)
    models = [(one.name, one.description) for one in rules.read_classifier(model, classifier).models]
    if as_json:
        print(json.dumps({name: description.model_dump(mode="json") for name, description in models}, indent=2))
    else:
        pages = [model_files.in_words(name, description) for name, description in models]
        print("\n\n".join([about.reason, *pages] if about else pages))


if __name__ == "__main__":
    main()
