"""Sources of particles (tables, the thesis's JSON layout, micrographs, artificial images) and their ingest.

This package imports ``core`` and ``samples``. ``classifiers``, ``studies`` and ``deployment`` may import it.
"""
