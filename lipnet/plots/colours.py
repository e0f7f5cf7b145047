"""Colours of classes and classifiers, for pictures with and without matplotlib."""

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#999999",
)  # Okabe and Ito, colour-blind safe


def rgb(number: int) -> tuple[int, int, int]:
    """Red, green and blue of a class, 0 to 255; after the last colour, the first follows again."""
    red, green, blue = bytes.fromhex(COLOURS[number % len(COLOURS)].removeprefix("#"))
    return red, green, blue
