"""Classifiers that are trained on one fold: support vector machines, trees and, in ``networks``, neural networks.

Imports ``core``, ``samples``, ``sources`` and ``evaluation``. ``studies`` and ``deployment`` may import it.
"""
