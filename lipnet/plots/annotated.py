"""Pictures of classified particles without matplotlib, which is not installed for prediction only.

Outlines of masks, a micrograph with outlines in the colours of the classes, and a contact sheet of particles.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import approximate_polygon, find_contours

from lipnet.plots.colours import rgb
from lipnet.samples.particles import Grey, Mask

Ring = NDArray[np.float64]
Piece = list[Ring]

SHORTEST_SIDE_PX = 1000  # smaller micrographs are enlarged, so that outlines do not hide particles
LARGEST_ENLARGEMENT = 4
FONT_PX = 12  # on contact sheets; legends of large micrographs have larger letters
CELL_PX = 128  # side of a cell of a contact sheet, without its text
GAP_PX = 6
PER_ROW = 10
LINE_PX = 15
MOST_LETTERS = 21  # of a line of text in a cell
DARK, PAPER = (0, 0, 0), (255, 255, 255)


class Shown(NamedTuple):
    """A particle on a contact sheet: its image and mask, the index of its class, and lines of text."""

    image: Grey
    mask: Mask
    label: int
    lines: Sequence[str]


def outlines(mask: Mask) -> list[Piece]:
    """Outlines of the pieces of a mask: a closed ring around each piece, followed by a ring for each of its holes.

    The rings run between the centres of pixels inside and outside, so they never touch and contain exactly the centres
    of the pixels of the mask. Pixels that touch at a corner belong to different pieces.

    Args:
        mask: shape (height_px, width_px).

    Returns:
        For each piece its rings, each of shape (m, 2) with x and y in px from the outer corner of the first pixel.
    """
    rings = [approximate_polygon(ring, 1e-6)[:, ::-1] - 0.5 for ring in find_contours(np.pad(mask, 1) * 1.0, 0.5)]
    around = [ring for ring in rings if _area(ring) > 0]
    pieces = [[ring] for ring in around]
    for ring in rings:
        if _area(ring) < 0:  # a hole, which belongs to the smallest piece around it
            outside = [number for number, one in enumerate(around) if _contains(one, ring)]
            pieces[min(outside, key=lambda number: _area(around[number]))].append(ring)
    return pieces


def _area(ring: Ring) -> float:
    """Signed area, which is positive for the outer ring of a piece and negative for a hole."""
    x, y = ring.T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def _contains(outer: Ring, inner: Ring) -> bool:
    """Whether rings that do not touch lie inside each other: a line from a point of the inner crosses the outer."""
    x, y = inner[0] + (0, 0.1)  # no corner of a ring has this y
    (x0, y0), (x1, y1) = outer[:-1].T, outer[1:].T
    crossed = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return bool((crossed & (at > x)).sum() % 2)


def micrograph(grey: Grey, particles: Sequence[tuple[Sequence[Piece], int]], legend: Sequence[str]) -> Image.Image:
    """A micrograph with the outlines of particles in the colours of their classes, and a legend below it.

    Args:
        grey: shape (height_px, width_px).
        particles: pieces and class index of each particle.
        legend: text of each class.
    """
    height, width = grey.shape
    scale = min(max(round(SHORTEST_SIDE_PX / min(grey.shape)), 1), LARGEST_ENLARGEMENT)
    font_px = max(FONT_PX, scale * max(grey.shape) // 60)
    texts = _legend_lines(legend, scale * width, font_px)
    picture = Image.new("RGB", (scale * width, scale * height + round(1.6 * font_px * len(texts))), PAPER)
    picture.paste(Image.fromarray(_eight_bit(grey)).resize((scale * width, scale * height), Image.Resampling.NEAREST))
    draw = ImageDraw.Draw(picture)
    thick = max(2, scale * max(grey.shape) // 800)
    for pieces, label in particles:
        _draw(draw, pieces, label, scale, (0, 0), thick)
    font = ImageFont.load_default(font_px)
    for number, line in enumerate(texts):
        top = scale * height + round(1.6 * font_px * number) + 0.3 * font_px
        for left, label in line:
            draw.rectangle((left, top, left + font_px, top + font_px), fill=rgb(label))
            draw.text((left + 1.4 * font_px, top + font_px / 2), legend[label], DARK, font, anchor="lm")
    return picture


def _legend_lines(legend: Sequence[str], width: int, font_px: int) -> list[list[tuple[float, int]]]:
    """Lines of a legend: left end and class of each entry."""
    font = ImageFont.load_default(font_px)
    lines: list[list[tuple[float, int]]] = [[]]
    left = 0.5 * font_px
    for label, text in enumerate(legend):
        needed = font.getlength(text) + 3 * font_px
        if lines[-1] and left + needed > width:
            lines.append([])
            left = 0.5 * font_px
        lines[-1].append((left, label))
        left += needed
    return lines


def contact_sheet(shown: Sequence[Shown]) -> Image.Image:
    """Particles in rows, each with its outline in the colour of its class and with text below it.

    Args:
        shown: at least one particle.
    """
    n_lines = max(len(one.lines) for one in shown)
    columns = min(PER_ROW, len(shown))
    across, down = CELL_PX + GAP_PX, CELL_PX + GAP_PX + LINE_PX * n_lines
    picture = Image.new("RGB", (columns * across + GAP_PX, -(-len(shown) // columns) * down + GAP_PX), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_PX)
    for number, one in enumerate(shown):
        left, top = GAP_PX + number % columns * across, GAP_PX + number // columns * down
        scale = CELL_PX / max(one.image.shape)
        size = [max(1, round(scale * side)) for side in one.image.shape[::-1]]
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        picture.paste(Image.fromarray(_eight_bit(one.image)).resize((size[0], size[1]), how), (left, top))
        _draw(draw, outlines(one.mask), one.label, scale, (left, top), 1)
        for line, text in enumerate(one.lines):
            short = text if len(text) <= MOST_LETTERS else f"…{text[1 - MOST_LETTERS :]}"
            draw.text((left, top + CELL_PX + 2 + line * LINE_PX), short, rgb(one.label) if line == 1 else DARK, font)
    return picture


def _draw(draw: Any, pieces: Sequence[Piece], label: int, scale: float, corner: tuple[int, int], thick: int) -> None:
    for ring in (ring for piece in pieces for ring in piece):
        points = [(float(x), float(y)) for x, y in ring * scale + corner]
        draw.line(points, fill=rgb(label), width=thick, joint="curve")


def _eight_bit(image: Grey) -> NDArray[np.uint8]:
    return (image // 257).astype(np.uint8) if image.dtype == np.uint16 else image.astype(np.uint8)
