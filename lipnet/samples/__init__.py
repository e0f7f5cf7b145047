"""Particles, and what is made of them before training: crops, features, folds, training sets, augmentation.

Imports ``core``. Every package but ``core`` may import it.
"""
