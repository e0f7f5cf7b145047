"""The LipNets: architecture, training on one fold, prediction, and inspection of trained networks.

Imports ``core``, ``samples``, ``evaluation`` and the support vector machines of ``classifiers``. Only modules of this
package import Keras.
"""
