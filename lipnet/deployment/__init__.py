"""Use of a finished run: export, prediction, files for viewers, what to label next, report, explanation of networks.

This package may import every other package. Only the command line (``lipnet.cli``) and benchmarks import it.
"""
