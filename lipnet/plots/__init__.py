"""Pictures, one module for each kind. Stages that train do not import them, so changes here cause no training.

Imports ``core``, ``samples`` and ``evaluation``. ``deployment`` may import it.
"""
