"""The Keras half: the worked networks, and what a training step of theirs computes.

Importing this package imports TensorFlow, quietly.
"""

from keras_models.quiet import load_keras

load_keras()

from keras_models.callbacks import EpochLoss  # noqa: E402
from keras_models.constraints import Constant  # noqa: E402
from keras_models.losses import HalfSquaredSum  # noqa: E402
from keras_models.recorder import Recorder, StepRecord  # noqa: E402
from keras_models.stepper import Stepper  # noqa: E402

__all__ = ["Constant", "EpochLoss", "HalfSquaredSum", "Recorder", "StepRecord", "Stepper"]
