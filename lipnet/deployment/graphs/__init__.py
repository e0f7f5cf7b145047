"""ONNX graphs of trained classifiers: networks, SVMs and trees. ONNX and Keras are imported inside the functions.

The bytes of a graph depend only on the model and its description.
"""
