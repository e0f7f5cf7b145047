"""Particles and their data up to training: crops, features, folds, training sets, augmentation.

This package imports ``core``. Every package except ``core`` may import it.
"""
