"""The pipeline benchmark reads the messages of dvc."""

from benchmarks.pipeline import END, _steps


def test_steps_are_the_stages_that_dvc_starts_and_its_end() -> None:
    messages = """Running stage 'ingest@lamellarity':
> python -m stages.ingest lamellarity
Generating lock file 'dvc.lock'
Stage 'crop@lamellarity' is cached - skipping run, checking out outputs
Running stage 'evaluate':
> python -m stages.evaluate
To track the changes with git, run:
"""
    assert list(_steps(messages.splitlines())) == ["ingest", "evaluate", END]
