"""Read the images that several problems share, and measure their features, once for all of them."""

from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd

from lipnet.core import files
from lipnet.core.command import bar, run
from lipnet.core.parallel import stream
from lipnet.core.settings import parse, pick
from lipnet.samples.features import FeatureSettings
from lipnet.sources import ingest
from lipnet.sources.rows import Source
from lipnet.sources.settings import SourceSettings
from lipnet.sources.source import open_shared


def main(params: dict[str, Any], arguments: Namespace) -> None:
    """Write the particles with all their labels; stage ingest of each problem takes its own."""
    settings = parse(SourceSettings, pick(params, "source"), "source")
    measures = parse(FeatureSettings, pick(params, "features"), "features")
    source = open_shared(arguments.folder, arguments.images, settings)
    columns = settings.label_columns(arguments.images)
    work = partial(ingest.read_shared_batch, read=source.read, measures=measures, columns=columns)
    streamed = bar(stream(work, source.tasks), f"{arguments.images}: reading and measuring", len(source.tasks))
    files.write_blocks(arguments.store, _blocks(source, streamed, settings.made_by))


def _blocks(source: Source, streamed: Any, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    nothing = pd.DataFrame()
    yield ingest.to_block(ingest.IngestedBatch({}, nothing, nothing, nothing, source.rejected)) | record
    for batch in streamed:
        yield ingest.to_block(batch) | record


if __name__ == "__main__":
    run(__doc__, "images", ["folder", "store"], main)
