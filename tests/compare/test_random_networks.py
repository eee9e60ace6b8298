"""No false alarms: networks drawn at random, badly scaled ones included, always agree."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from random_networks import Drawn, agree, drawn_with, networks, sweep


@pytest.mark.parametrize(
    "drawn",
    [
        drawn_with(
            hidden=(
                (2, "softplus", True, "none"),
                (5, "softplus", True, "none"),
                (9, "softmax", True, "none"),
            ),
            scales=(2.0, 0.4, 1.4, 2.5),
            samples=8,
            seed=2577294,
        ),
        drawn_with(
            inputs=8,
            hidden=((6, "softplus", True, "none"), (4, "relu", True, "none")),
            outputs=3,
            loss=("mae", {}),
            optimizer=("Adam", {"learning_rate": 0.0184, "beta_1": 0.95, "epsilon": 1e-3}),
            scales=(2.0, 2.0, 2.7),
            batch_size=17,
            samples=30,
            seed=2234,
        ),
        drawn_with(
            hidden=(
                (12, "linear", False, "none"),
                (11, "elu", False, "none"),
                (9, "relu", False, "none"),
                (9, "relu", False, "none"),
            ),
            outputs=12,
            loss=("half", {"reduction": "mean_with_sample_weight"}),
            optimizer=("SGD", {"learning_rate": 0.2461, "momentum": 0.5}),
            scales=(2.96, -0.61, -0.61, 2.96, 2.08),
            batch_size=9,
            samples=11,
            seed=12831304,
        ),
        drawn_with(
            inputs=11,
            hidden=(
                (2, "relu", True, "shared"),
                (1, "linear", False, "shared"),
                (1, "linear", True, "none"),
            ),
            outputs=12,
            last="elu",
            loss=("binary", {"from_logits": True, "label_smoothing": 0.1, "reduction": "sum"}),
            optimizer=("SGD", {"learning_rate": 0.0044, "momentum": 0.9}),
            metric="accuracy",
            sequential=False,
            batch_size=16,
            samples=22,
            scales=(1.0, 2.6, 0.0, 2.0),
            seed=18742,
        ),
        drawn_with(
            hidden=(
                (5, "elu", False, "none"),
                (10, "softmax", False, "concatenate"),
                (6, "linear", True, "shared"),
                (1, "tanh", False, "add"),
                (1, "tanh", False, "add"),
            ),
            outputs=6,
            last="elu",
            loss=("mse", {}),
            optimizer=("Adam", {"learning_rate": 0.0585, "beta_1": 0.95, "beta_2": 0.99}),
            sequential=False,
            batch_size=12,
            samples=35,
            scales=(-3.2, -2.7, -0.9, 0.8, -2.5, 0.8),
            seed=194,
        ),
        drawn_with(
            inputs=2,
            hidden=(
                (1, "linear", True, "shared"),
                (9, "tanh", True, "add"),
                (1, "linear", True, "shared"),
                (3, "tanh", False, "concatenate"),
            ),
            outputs=10,
            loss=("mae", {"reduction": "mean_with_sample_weight"}),
            optimizer=("Adam", {"learning_rate": 0.111, "beta_2": 0.9, "amsgrad": True}),
            metric="accuracy",
            sequential=False,
            batch_size=15,
            samples=29,
            scales=(-2.4, 2.2, 2.9, 2.2, -2.4),
            seed=1,
        ),
        drawn_with(inputs=12, outputs=1, last="linear", metric="accuracy", scales=(1.5,)),
    ],
    ids=[
        "a softmax flushed to zero, times a large gradient",
        "a sigmoid flushed to zero, times a large gradient",
        "an overflow on the way",
        "a partial sum that overflows",
        "a tanh that is 1 in every row",
        "the largest of outputs that are all flushed to zero",
        "the accuracy of targets other than 0 and 1",
    ],
)
def test_what_once_raised_a_false_alarm(drawn: Drawn, use_precision: Any) -> None:
    agree(drawn, use_precision, run_eagerly=True)


@pytest.mark.parametrize("stream", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
def test_networks_agree_eagerly(stream: int, use_precision: Any) -> None:
    sweep(stream, 10, use_precision, run_eagerly=True)


@pytest.mark.parametrize("stream", [20, pytest.param(21, marks=pytest.mark.slow)])
def test_networks_agree_in_graph_mode(stream: int, use_precision: Any) -> None:
    sweep(stream, 5, use_precision, jit_compile=False)


@pytest.mark.parametrize("stream", [25, pytest.param(26, marks=pytest.mark.slow)])
def test_networks_agree_under_xla(stream: int, use_precision: Any) -> None:
    sweep(stream, 2, use_precision, jit_compile=True)


@pytest.mark.slow
def test_fresh_networks_agree(use_precision: Any) -> None:
    @hypothesis.settings(max_examples=1000, deadline=None, print_blob=True)
    @hypothesis.given(networks())
    def agrees(drawn: Drawn) -> None:
        agree(drawn, use_precision, run_eagerly=True)

    agrees()
