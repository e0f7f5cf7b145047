"""Problems and their K >= 2 classes, as listed in params.yaml.

Only the generator of artificial particles (``sources.artificial``) has class names in its code.
"""

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.core.errors import InputError
from lipnet.core.settings import pick

# Names become file names, CSV columns, keys of the metrics and labels in pictures.
PROBLEM_NAME = re.compile(r"[A-Za-z0-9_-]+")
CLASS_NAME = re.compile(r"\w[\w +-]*")


def classes_of(params: dict[str, Any], problem: str) -> list[str]:
    """Class names of a problem, in the order of their indices.

    Raises:
        InputError: the problem is not in the section ``classes``, it lists fewer than two different names, or a name is
            reserved or has characters that file names and tables do not allow.
    """
    if not PROBLEM_NAME.fullmatch(problem):
        raise InputError(f"params.yaml: problem '{problem}': use letters, digits, _ and - only")
    classes = pick(params, "classes", problem)
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise InputError(
            f"params.yaml: classes.{problem} must be a list of names; put quotes around numbers, yes and no"
        )
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise InputError(f"params.yaml: classes.{problem} must list at least two names, each once")
    bad = [name for name in classes if not CLASS_NAME.fullmatch(name)]
    if bad:
        raise InputError(
            f"params.yaml: classes.{problem}: '{bad[0]}' cannot name a class; use letters, digits, spaces, _ + and -"
        )
    return classes


def encode(labels: pd.Series, classes: list[str]) -> NDArray[np.int64]:
    """Class index of each label, shape (n,).

    Raises:
        InputError: a label is not one of the classes.
    """
    index = {name: number for number, name in enumerate(classes)}
    unknown = sorted(set(labels) - set(index))
    if unknown:
        raise InputError(f"class {', '.join(unknown)} is not in `classes` ({', '.join(classes)}); run ingest again")
    return np.array([index[label] for label in labels], dtype=np.int64)
