"""Settings of training that toy problems share."""

from typing import Any

from lipnet.classifiers.networks.settings import TrainingSettings


def training_settings(**changes: Any) -> TrainingSettings:
    """A change of a nested setting is written section__key."""
    sections: dict[str, Any] = {
        "batch_size": 8,
        "precision": "float32",
        "mid_grey": 0.5,
        "label_smoothing": 0.0,
        "loss": {"kind": "cross_entropy", "focal_gamma": 2.0, "logit_strength": 1.0},
        "mixup": 0.0,
        "optimiser": {
            "name": "adam",
            "learning_rate": 0.02,
            "schedule": "constant",
            "step_factor": 0.1,
            "momentum": 0.9,
        },
        "average_epochs": 0,
        "epochs": {
            "choose": "fixed",
            "budget": {"steps": 18, "least": 1, "most": 9},
            "fixed": 1,
            "most": 3,
            "patience": 2,
            "validation_parts": 3,
        },
        "regularisation": {
            "dropout_block": 0.1,
            "dropout_dense": 0.1,
            "dropout_decay": 1.0,
            "weight_decay": 0.0,
            "batch_norm": False,
        },
        "join": {"features": [], "units": 8},
        "views": False,
        "heads": {
            "svms": {},
            "library": "libsvm",
            "cost": 1.0,
            "gamma": None,
            "class_weights": True,
            "calibration_folds": 3,
            "cache_mb": 10,
        },
        "threads_per_fold": 1,
        "engine": "processes",
        "most_networks": None,
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        sections[section] = {**sections[section], key: value} if key else value
    return TrainingSettings.model_validate(sections)
