"""Decoding of image files: a module for each family of formats, and the record in which all of them return samples."""
