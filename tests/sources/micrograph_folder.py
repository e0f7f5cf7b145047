"""A small micrograph with its label mask, and helpers that several tests of source micrographs share."""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from lipnet.samples.particles import Particle
from lipnet.sources.formats.grey_levels import GreySettings
from lipnet.sources.micrograph_rows import list_tasks
from lipnet.sources.micrographs import MicrographSettings, read_task
from lipnet.sources.rows import Rejected
from tests.sources.grey import AS_STORED

CLASSES = ("Full", "Empty")
SETTINGS = MicrographSettings(padding_px=4, pixel_size_nm=None)
GREY = np.random.default_rng(0).integers(20, 230, (50, 60)).astype(np.uint8)
LABELS = np.zeros((50, 60), np.uint16)
LABELS[10:20, 12:24] = 3  # in the middle
LABELS[20:28, 15:22] = 700  # touches it from below
LABELS[40:50, 50:60] = 9  # in the corner


def save_micrograph(folder: Path) -> Path:
    """Save the micrograph and its label mask; return the folder."""
    Image.fromarray(GREY).save(folder / "f.png")
    Image.fromarray(LABELS).save(folder / "f_labels.png")
    return folder


def read_folder(
    folder: Path, table: str = "", settings: MicrographSettings = SETTINGS, grey: GreySettings = AS_STORED
) -> list[Particle | Rejected]:
    """All particles and rejected rows of a folder, after its table has been written."""
    if table:
        (folder / "particles.csv").write_text(table, encoding="utf-8")
    tasks, rejected = pickle.loads(pickle.dumps(list_tasks(folder, CLASSES, "class")))
    return [*(item for task in tasks for item in read_task(task, folder, settings, grey)), *rejected]


def particles_of(found: list[Particle | Rejected]) -> list[Particle]:
    """The particles; fails if a row has a fault."""
    assert all(isinstance(item, Particle) or not item.fault for item in found), found
    return [item for item in found if isinstance(item, Particle)]


def the_fault(found: list[Particle | Rejected]) -> Rejected:
    """The only fault."""
    [fault] = [item for item in found if isinstance(item, Rejected) and item.fault]
    return fault
