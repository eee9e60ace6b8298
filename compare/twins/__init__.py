"""From a Keras model to its hand-written twin."""
