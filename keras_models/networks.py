"""The worked networks as plain Keras models.

Each function returns a model with its initial weights, not compiled: how it is trained is part of
the case. Nothing clever happens here; this is the reference.
"""

from __future__ import annotations

import keras
import numpy as np
from keras.layers import Dense

from keras_models.constraints import Constant


def mazur(train_biases: bool = False) -> keras.Model:
    """2-2-2: the step-by-step network with w1 … w8. Its biases are not updated."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            Dense(
                2,
                activation="sigmoid",
                bias_constraint=None if train_biases else Constant(0.35),
                name="hidden",
            ),
            Dense(
                2,
                activation="sigmoid",
                bias_constraint=None if train_biases else Constant(0.60),
                name="output",
            ),
        ]
    )
    model.set_weights(
        [
            np.array([[0.15, 0.25], [0.20, 0.30]]),
            np.array([0.35, 0.35]),
            np.array([[0.40, 0.50], [0.45, 0.55]]),
            np.array([0.60, 0.60]),
        ]
    )
    return model


def study_hours() -> keras.Model:
    """2-3-1 without biases: hours studied and slept → test score."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            Dense(3, activation="sigmoid", use_bias=False, name="hidden"),
            Dense(1, activation="sigmoid", use_bias=False, name="score"),
        ]
    )
    model.set_weights(
        [
            np.array([[0.2, 0.6, 0.1], [0.8, 0.3, 0.7]]),
            np.array([[0.4], [0.5], [0.9]]),
        ]
    )
    return model


def xor_bias_trick() -> keras.Model:
    """3-3-1 inside: the ones column's weights are the first bias; later layers have none."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            Dense(3, activation="sigmoid", name="hidden"),
            Dense(1, activation="sigmoid", use_bias=False, name="output"),
        ]
    )
    model.set_weights(
        [
            np.array([[0.351, -0.097, 0.457], [1.076, -0.165, -0.165]]),
            np.array([1.116, 0.542, -0.331]),
            np.array([[0.383], [-0.327], [-0.329]]),
        ]
    )
    return model


def xor_no_hidden(seed: int = 42) -> keras.Model:
    """[2, 1]: no hidden layer, so that XOR can't be learnt. The last drawn row is the bias."""
    model = keras.Sequential([keras.Input((2,)), Dense(1, activation="sigmoid", name="output")])
    drawn = np.random.RandomState(seed).randn(3, 1) / np.sqrt(2)
    model.set_weights([drawn[:2], drawn[2]])
    return model


def digits_bias_trick(seed: int = 42) -> keras.Model:
    """[64, 32, 16, 10] of the bias trick: 65-33-17-10 inside."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            Dense(33, activation="sigmoid", name="hidden_1"),
            Dense(17, activation="sigmoid", use_bias=False, name="hidden_2"),
            Dense(10, activation="sigmoid", use_bias=False, name="output"),
        ]
    )
    draw = np.random.RandomState(seed).randn
    first = draw(65, 33) / np.sqrt(64)
    second = draw(33, 17) / np.sqrt(32)
    third = draw(17, 10) / np.sqrt(16)
    model.set_weights([first[:64], first[64], second, third])
    return model


def four_layer(output: str = "linear") -> keras.Model:
    """4-2-2-1 in matrix notation; a Keras kernel is the transpose of the tutorial's W."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            Dense(2, activation="sigmoid", name="layer_2"),
            Dense(2, activation="sigmoid", name="layer_3"),
            Dense(1, activation=output, use_bias=False, name="s"),
        ]
    )
    model.set_weights(
        [
            np.array([[0.1, -0.2, 0.3, 0.4], [-0.5, 0.6, -0.7, 0.2]]).T,
            np.array([0.1, -0.1]),
            np.array([[0.3, -0.4], [0.5, 0.7]]).T,
            np.array([0.05, -0.05]),
            np.array([[0.8, -0.9]]).T,
        ]
    )
    return model


def single_neuron() -> keras.Model:
    """Two inputs, one sigmoid output."""
    model = keras.Sequential([keras.Input((2,)), Dense(1, activation="sigmoid", name="neuron")])
    model.set_weights([np.array([[0.5], [0.2]]), np.array([1.83])])
    return model


def three_inputs(seed: int = 0) -> keras.Model:
    """3-7-5-4-1 without biases; weights on [0, 1), drawn unit by unit, layer by layer."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            Dense(7, activation="sigmoid", use_bias=False, name="hidden_1"),
            Dense(5, activation="sigmoid", use_bias=False, name="hidden_2"),
            Dense(4, activation="sigmoid", use_bias=False, name="hidden_3"),
            Dense(1, activation="sigmoid", use_bias=False, name="output"),
        ]
    )
    draw = np.random.RandomState(seed).rand
    model.set_weights([draw(7, 3).T, draw(5, 7).T, draw(4, 5).T, draw(1, 4).T])
    return model


def straight_line(weight: float = 3.0) -> keras.Model:
    """One number to learn: y = W x."""
    model = keras.Sequential([keras.Input((1,)), Dense(1, use_bias=False, name="line")])
    model.set_weights([np.array([[weight]])])
    return model


def diabetes_line() -> keras.Model:
    """Ten inputs, from zero: y = x W + b."""
    model = keras.Sequential([keras.Input((10,)), Dense(1, name="line")])
    model.set_weights([np.zeros((10, 1)), np.zeros(1)])
    return model


def wine() -> keras.Model:
    """13-8-3: the chemistry of a wine → which of three growers."""
    return keras.Sequential(
        [
            keras.Input((13,)),
            Dense(8, activation="tanh", name="hidden"),
            Dense(3, activation="softmax", name="grower"),
        ]
    )


def diabetes() -> keras.Model:
    """10-6-1 with a tanh layer: ten measurements of a patient → progression in a year."""
    return keras.Sequential(
        [
            keras.Input((10,)),
            Dense(6, activation="tanh", name="hidden"),
            Dense(1, name="progression"),
        ]
    )


def digits() -> keras.Model:
    """64-32-16-10, the way one does it today."""
    return keras.Sequential(
        [
            keras.Input((64,)),
            Dense(32, activation="relu", name="hidden_1"),
            Dense(16, activation="relu", name="hidden_2"),
            Dense(10, activation="softmax", name="digit"),
        ]
    )


def hand_vs_keras() -> keras.Model:
    """2-5-1 without biases, all weights alike."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            Dense(5, activation="sigmoid", use_bias=False, name="hidden"),
            Dense(1, activation="sigmoid", use_bias=False, name="output"),
        ]
    )
    model.set_weights([np.full((2, 5), 0.1), np.full((5, 1), 0.2)])
    return model
