"""What all pictures share: no screen, one look, and a file whose bytes depend on what is drawn alone."""

from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from lipnet.core import files

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#999999",
)  # Okabe and Ito, colour-blind safe

matplotlib.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without dates and versions in it."""
    content = BytesIO()  # all of it or nothing is written
    figure.savefig(content, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    files.write_bytes(path, content.getvalue())
