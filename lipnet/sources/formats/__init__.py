"""Formats of image files: decoding, a module for each family, and what the stored samples of a file mean.

All decoders return the record ``raw.RawImage``. Modules here know nothing of particles, tables and problems.
"""
