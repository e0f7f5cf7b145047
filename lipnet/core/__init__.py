"""Code that every program of this project needs: settings, errors, files, seeds, processes, command lines.

Every other package may import this package. It imports none of them.
"""
