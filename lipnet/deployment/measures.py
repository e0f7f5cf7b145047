"""The measures that cards and reports show, and their names in text."""

HEADLINE_OVERALL = ("macro_f1", "balanced_accuracy", "mcc", "log_loss", "average_precision")
HEADLINE_OF_CLASS = ("tpr", "ppv", "f1")
LOWER_IS_BETTER = ("log_loss",)
_WORDS = {"macro_f1": "macro F1", "mcc": "MCC", "tpr": "recall", "ppv": "precision", "f1": "F1"}


def words(name: str) -> str:
    """Name of a measure in text: ``macro F1`` for macro_f1."""
    return _WORDS.get(name, name.replace("_", " "))
