"""scikit-learn's MLPClassifier, which tells classes with ReLU layers and a log loss."""

from __future__ import annotations

import time
import warnings

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.contenders.base import Contender
from benchmarks.contenders.blas import about_numpy
from benchmarks.problem import CHECKED, Problem


class SklearnFit(Contender):
    """``MLPClassifier.fit`` over whole epochs, with what Keras doesn't do switched off."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.labels = problem.y.argmax(axis=1)
        self.about = f"scikit-learn {sklearn.__version__} on {about_numpy()}"

    def fresh(self, epochs: int) -> MLPClassifier:
        """Return a classifier that holds the first weights, ready to go on from them."""
        problem = self.problem
        classifier = MLPClassifier(
            tuple(problem.architecture.widths[1:-1]),
            solver=problem.optimizer.lower(),
            alpha=0.0,
            batch_size=problem.architecture.batch,
            learning_rate_init=problem.rate,
            **{name: value for name, value in problem.options.items() if name != "learning_rate"},
            momentum=0.0,
            nesterovs_momentum=False,
            max_iter=epochs,
            n_iter_no_change=10 * epochs,
            shuffle=False,
        )
        first = problem.batch(0)[0]
        classes = np.arange(problem.architecture.outputs)
        classifier.partial_fit(first, np.resize(classes, len(first)), classes=classes)
        weights = [weight.copy() for weight in problem.weights.values()]
        classifier.coefs_, classifier.intercepts_ = weights[::2], weights[1::2]
        del classifier._optimizer  # so that it's made anew, of these arrays
        return classifier

    def reset(self) -> None:
        """Each training begins with a fresh classifier."""

    def losses(self, steps: int) -> list[float]:
        classifier = self.fresh(CHECKED)
        batch = self.problem.architecture.batch
        losses = []
        for number in range(steps):
            x, y = self.problem.x, self.labels
            rows = slice(number * batch, (number + 1) * batch)
            classifier.partial_fit(x[rows], y[rows])
            losses.append(float(classifier.loss_))
        return losses

    def burst(self, epochs: int) -> float:
        classifier = self.fresh(epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are over, as asked
            classifier.set_params(warm_start=True)
            start = time.perf_counter()
            classifier.fit(self.problem.x, self.labels)
            return time.perf_counter() - start
