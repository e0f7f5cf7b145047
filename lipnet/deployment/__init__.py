"""Use of a finished run: export of models, prediction of new particles, report, explanation of networks.

This package may import every other package. Only the command line (``lipnet.cli``) and benchmarks import it.
"""
