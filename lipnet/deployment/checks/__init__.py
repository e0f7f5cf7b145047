"""Checks before anything runs: all settings of params.yaml, and the particles at hand."""
