"""What is done with a finished run: export, prediction of new particles, report, explanations.

Imports every other package. Only the command line (``lipnet.cli``) imports it.
"""
