"""Formats of image files: what the stored samples of a file mean.

Modules here work on files and arrays; they know nothing of particles, tables and problems.
"""
