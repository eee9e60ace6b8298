"""A minimal reproduction: a finding, made as small as it can be, as a script of Keras and NumPy."""

from compare.reproduction.reproduce import reproduce

__all__ = ["reproduce"]
