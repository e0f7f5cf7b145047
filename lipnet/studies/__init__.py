"""Studies (ablations): the arms of a study, the trainings that they need, and verdicts over the same folds.

Imports every package but ``plots`` and ``deployment``. ``deployment`` may import it.
"""
