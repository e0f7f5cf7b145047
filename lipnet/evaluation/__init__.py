"""What classifiers predict and how good they are: predictions, decision rules, measures, comparisons, label errors.

Imports ``core`` and ``samples``. ``plots``, ``studies`` and ``deployment`` may import it; classifiers do not.
"""
