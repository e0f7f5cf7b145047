"""Where particles come from: tables, the JSON layout of the thesis, micrographs, artificial images; and their ingest.

Imports ``core`` and ``samples``. ``classifiers``, ``studies`` and ``deployment`` may import it.
"""
