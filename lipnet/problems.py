"""Problems: a name and its K >= 2 classes, all from params.yaml; no class name stands in code."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lipnet.errors import InputError
from lipnet.settings import pick


def classes_of(params: dict[str, Any], problem: str) -> list[str]:
    """Class names of a problem, in the order of their indices.

    Raises:
        InputError: the problem is not in the section ``classes``, or lists fewer than two different names.
    """
    classes = pick(params, "classes", problem)
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise InputError(
            f"params.yaml: classes.{problem} must be a list of names; put quotes round numbers, yes and no"
        )
    if len(set(classes)) < 2 or len(set(classes)) < len(classes):
        raise InputError(f"params.yaml: classes.{problem} must list at least two names, each once")
    return classes


def encode(labels: pd.Series, classes: list[str]) -> NDArray[np.int64]:
    """Class index of each label, shape (n,).

    Raises:
        InputError: a label is not a class.
    """
    index = {name: number for number, name in enumerate(classes)}
    unknown = sorted(set(labels) - set(index))
    if unknown:
        raise InputError(f"class {', '.join(unknown)} is not in `classes` ({', '.join(classes)}); run ingest again")
    return np.array([index[label] for label in labels], dtype=np.int64)
