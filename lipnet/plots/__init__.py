"""Pictures, one module a kind. A stage that trains reaches none of them, so a new look re-trains nothing.

Imports ``core``, ``samples`` and ``evaluation``. ``deployment`` may import it.
"""
