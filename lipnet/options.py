"""Arguments and options that several commands of ``lipnet`` share."""

from pathlib import Path
from typing import Annotated

import typer

ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX file, or a folder that `lipnet export` wrote")]
Classifier = Annotated[
    str | None, typer.Option(help="a classifier or decision rule of the report; default: the recommended one")
]
RunPath = Annotated[Path, typer.Option(help="folder of the pipeline, with params.yaml")]
Stale = Annotated[
    bool, typer.Option("--stale", help="go on if settings, code or data changed since the run; the result says so")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the summary as JSON")]
Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="folder of images, table in the format of particles.csv, or micrograph with a label mask",
    ),
]
Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...",
        help="folders of images or of micrographs, tables of particles or micrographs, or micrographs with label masks",
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


def class_shares(text: str) -> dict[str, float]:
    """Shares by class, from text such as ``Full=0.97,Empty=0.03``.

    Raises:
        BadParameter: the text is of another form.
    """
    pairs = [item.rpartition("=") for item in text.split(",")]
    try:
        shares = {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        shares = {}
    if len(shares) < len(pairs):
        message = f"'{text}': give Class=share once for every class, separated by commas"
        raise typer.BadParameter(message, param_hint="--deployment-prior")
    return shares
