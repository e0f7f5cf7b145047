"""The tests of this folder need Keras on JAX: they run in one process of its own, which ``test_on_jax.py`` starts."""

import os

if os.environ.get("KERAS_BACKEND") != "jax":
    collect_ignore_glob = ["test_[!o]*.py", "test_o[!n]*.py"]
