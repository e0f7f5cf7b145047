"""Predictions of classifiers and their evaluation: decision rules, measures, comparisons.

Imports ``core`` and ``samples``. ``classifiers``, ``plots``, ``studies`` and ``deployment`` may import it.
"""
