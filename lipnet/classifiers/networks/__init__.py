"""The LipNets: architecture, training of one fold, prediction, and what a trained network holds.

Imports ``core``, ``samples`` and the support vector machines of ``classifiers``. Only modules here import Keras.
"""
