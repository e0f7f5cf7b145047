"""What all pictures share: one style, no screen, and a file whose bytes depend only on what is drawn."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib.figure import Figure

from lipnet.core import files
from lipnet.plots.colours import COLOURS as COLOURS  # for the other modules of this package

STYLE: Any = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}  # rcParams

Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Decorate a function that draws: the style is in effect while it runs. Other users of matplotlib keep theirs."""
    return matplotlib.rc_context(STYLE)(draw)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without dates and versions in it.

    matplotlib makes the ticks when it saves, so the style is in effect here too.
    """
    content = BytesIO()  # in memory first: a file is written completely or not at all
    with matplotlib.rc_context(STYLE):
        figure.savefig(content, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    files.write_bytes(path, content.getvalue())
