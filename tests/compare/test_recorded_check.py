"""A recorded check says of every step what the ordinary one says, or leaves it to that."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from planting import Model, run

import compare.steps.engine
import compare.steps.following
from compare import Report, lockstep
from compare.rounding.judge import BOUND
from compare.steps.recorded_check import GRADIENT_OF_OWN_STEP, RecordedCheck
from compare.steps.recorded_steps import RecordedSteps
from manual.activations import Tanh
from manual.layers import Dense
from manual.optimizers import SGD

Step = tuple[Any, ...]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the first step that agrees, and try the recording on the second."""
    monkeypatch.setattr(RecordedSteps, "AT", 0)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Return the steps that are judged by the ordinary check."""
    steps: list[int] = []
    own = compare.steps.following.compare_step

    def compare_step(reference: Any, record: Any, tape: Any, **options: Any) -> Any:
        steps.append(record.step)
        return own(reference, record, tape, **options)

    monkeypatch.setattr(compare.steps.following, "compare_step", compare_step)
    yield steps


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Step, Any]]:
    """Keep, of every step: the reference for recordings, the step itself, what was found."""
    kept: list[tuple[Any, Step, Any]] = []

    def learn(self: Any, record: Any, tape: Any, own_loss: float, found: Any) -> None:
        kept.append((self.reference, (record, tape, self.own, own_loss), found))

    monkeypatch.setattr(RecordedSteps, "learn", learn)
    return kept


def long(model: keras.Model, **options: Any) -> Report:
    """Train for eight steps, the fourth and the eighth of which are smaller."""
    return run(model, samples=28, epochs=2, **options)


def conv() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((14, 14, 2)),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.MaxPooling2D(name="pool"),
            keras.layers.Dropout(0.3, seed=1, name="drop"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(3, "softmax", kernel_regularizer="l2", name="class"),
        ]
    )


# ---------------------------------------------------------------------- the same distances


def test_the_distances_are_the_ordinary_ones(
    precision: str, small: Model, caught: list[tuple[Any, Step, Any]]
) -> None:
    """Recorded at the first step, and asked about the second, whose numbers are others."""
    (reference, first, _), *_ = caught_in(small(optimizer="adam"), caught)
    _, second, found = caught[1]
    recording = RecordedCheck(reference, *first)
    distances = recording.distances(*second)
    ordinary = {(one.phase, one.name, one.source): one.verdict.distance for one in found}
    recorded = dict(zip(recording.quantities, distances.tolist(), strict=True))
    assert {key[0] for key in recorded.keys() - ordinary.keys()} == {GRADIENT_OF_OWN_STEP}
    assert set(ordinary) == {key for key in recorded if key[0] != GRADIENT_OF_OWN_STEP}
    assert max(ordinary.values()) > 0.3
    for key, distance in ordinary.items():
        assert recorded[key] == pytest.approx(distance, rel=1e-6, abs=1e-6), key


def caught_in(model: keras.Model, caught: list[Any]) -> list[Any]:
    assert run(model, samples=16).ok
    return caught


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_reports_are_the_same_with_recordings_and_without(
    precision: str,
    small: Model,
    optimizer: str,
    at_once: None,
    counted: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = long(small(optimizer=optimizer, metrics=["categorical_accuracy"]))
    assert counted == [1, 2, 4, 8]  # two of each shape, the small ones among them
    monkeypatch.setattr(RecordedSteps, "AT", 100)
    ordinary = long(small(optimizer=optimizer, metrics=["categorical_accuracy"]))
    assert counted[4:] == list(range(1, 9))
    _assert_same(recorded, ordinary)


def test_convolution_normalization_pooling_and_dropout_are_recorded(
    use_precision: Callable[[str], None],
    at_once: None,
    counted: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_precision("float32")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 14, 14, 2))
    y = np.eye(3)[generator.integers(0, 3, 40)]
    reports = []
    for at in (0, 100):
        monkeypatch.setattr(RecordedSteps, "AT", at)
        model = conv()
        model.compile("adam", "categorical_crossentropy")
        reports.append(lockstep(model, x, y, batch_size=8, shuffle=False))
    assert counted == [1, 2, *range(1, 6)]
    _assert_same(*reports)


def _assert_same(recorded: Report, ordinary: Report) -> None:
    assert recorded.ok, str(recorded.first)
    assert recorded.compared == ordinary.compared
    assert list(recorded.quantities) == list(ordinary.quantities)
    for key, largest in ordinary.quantities.items():
        other = recorded.quantities[key]
        assert (other.step, other.compared) == (largest.step, largest.compared), key
        assert other.distance == pytest.approx(largest.distance, rel=1e-6, abs=1e-6), key
    assert recorded.history == ordinary.history
    assert str(recorded.drift) == str(ordinary.drift)


# ---------------------------------------------------------------------- nothing is hidden


def _moved(array: np.ndarray) -> np.ndarray:
    """Return the same with its last number a little off."""
    moved = np.array(array)
    moved.reshape(-1)[-1] = moved.reshape(-1)[-1] * 1.001 + 1e-4
    return moved


def _with(named: Any, name: str, array: np.ndarray) -> dict[str, Any]:
    return {**named, name: array}


PLACES = [
    ("activation", "second", "tape"),
    ("loss", "total", "tape"),
    ("activation gradient", "hidden", "tape"),
    ("weight gradient", "hidden/bias", "tape"),
    ("optimizer slot", "out/kernel/velocity", "tape"),
    ("weight", "out/bias", "tape"),
    ("gradients", "second/kernel", "fit"),
    ("after", "hidden/kernel", "fit"),
    ("slots_after", "second/bias", "fit"),
    ("loss", "", "fit"),
]


@pytest.mark.parametrize(("what", "name", "where"), PLACES)
def test_a_number_of_keras_that_is_off_is_seen(
    use_precision: Callable[[str], None],
    small: Model,
    caught: list[tuple[Any, Step, Any]],
    what: str,
    name: str,
    where: str,
) -> None:
    use_precision("float32")
    (reference, step, _), *_ = caught_in(small(optimizer="adam"), caught)
    recording = RecordedCheck(reference, *step)
    record, tape, *own = caught[1][1]
    assert (recording.distances(record, tape, *own) <= BOUND).all()
    if where == "tape":
        tape = {**tape, what: _with(tape[what], name, _moved(tape[what][name]))}
    elif what == "slots_after":
        slot = record.slots_after["momentum"]
        slots = {**record.slots_after, "momentum": _with(slot, name, _moved(slot[name]))}
        record = replace(record, slots_after=slots)
    elif name:
        named = getattr(record, what)
        record = replace(record, **{what: _with(named, name, _moved(named[name]))})
    else:
        record = replace(record, loss=_moved(record.loss))
    distances = recording.distances(record, tape, *own)
    assert not (distances <= BOUND).all()


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_is_left_to_the_ordinary_check(
    use_precision: Callable[[str], None],
    small: Model,
    caught: list[tuple[Any, Step, Any]],
    number: float,
) -> None:
    use_precision("float32")
    (reference, step, _), *_ = caught_in(small(), caught)
    recording = RecordedCheck(reference, *step)
    record, tape, *own = caught[1][1]
    after = {name: np.full_like(array, number) for name, array in record.after.items()}
    distances = recording.distances(replace(record, after=after), tape, *own)
    assert not (distances <= BOUND).all()


def test_a_step_of_another_shape_is_left_to_the_ordinary_check(
    use_precision: Callable[[str], None], small: Model, caught: list[tuple[Any, Step, Any]]
) -> None:
    use_precision("float32")
    assert run(small()).ok
    (reference, first, _), (_, second, _), (_, last, _) = caught
    recording = RecordedCheck(reference, *first)
    assert recording.distances(*second) is not None
    assert recording.distances(*last) is None


def of_call(number: int, right: Any, wrong: Any) -> Any:
    """Return a method that is wrong from its n-th call on: no number says so, only a counter."""
    calls = [0]

    def method(self: Any, *args: Any, **options: Any) -> Any:
        calls[0] += 1
        return (wrong if calls[0] >= number else right)(self, *args, **options)

    return method


def slightly_wrong(self: Dense, dz: Any, x: Any) -> Any:
    self.kernel.gradient += (x.T @ dz) * 1.0001
    self.bias.gradient += dz.sum(axis=0)
    return dz @ self.kernel.value.T


@pytest.mark.parametrize(
    ("layer", "method", "wrong"),
    [
        (Dense, "backward", slightly_wrong),
        (Tanh, "backward", lambda self, da, z, a: da * (1.0 - a)),
        (Tanh, "forward", lambda self, z: np.tanh(z) * 1.0001),
    ],
)
def test_a_mistake_that_only_a_counter_knows_of_is_found(
    use_precision: Callable[[str], None],
    small: Model,
    at_once: None,
    counted: list[int],
    monkeypatch: pytest.MonkeyPatch,
    layer: Any,
    method: str,
    wrong: Any,
) -> None:
    """By then the check is recorded, and calls no layer."""
    use_precision("float32")
    patched = of_call(40, getattr(layer, method), wrong)
    monkeypatch.setattr(layer, method, patched)
    report = run(small(optimizer=keras.optimizers.SGD(1e-3)), samples=8 * 30)
    assert report.first is not None
    assert report.first.step in counted
    assert report.first.step > 3
    assert set(range(3, report.first.step)).isdisjoint(counted)


def test_a_rule_that_asks_for_the_step_is_never_recorded(
    use_precision: Callable[[str], None],
    small: Model,
    at_once: None,
    counted: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def update(self: SGD, w: Any, g: Any, slots: Any, t: Any, learning_rate: Any) -> None:
        w -= learning_rate * g * (1.0 if float(getattr(t, "value", t)) < 6 else 1.001)

    monkeypatch.setattr(SGD, "update", update)
    report = long(small())
    assert counted == list(range(1, 9))
    assert report.first is not None
    assert (report.first.step, report.first.phase) == (6, "weight")


@pytest.mark.parametrize("where", ["Dense", "Tanh"])
def test_findings_are_the_same_with_recordings_and_without(
    precision: str,
    small: Model,
    at_once: None,
    counted: list[int],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """Keras's half goes wrong at the sixth step: by then a recording would judge it."""
    reports = []
    for at in (0, 100):
        monkeypatch.setattr(RecordedSteps, "AT", at)
        monkeypatch.setattr(compare.steps.engine, "Recorder", _Distorting(where == "Dense"))
        reports.append(long(small(optimizer=keras.optimizers.SGD(0.01, momentum=0.9))))
    recorded, ordinary = reports
    assert counted == [1, 2, 4, 6, 8, *range(1, 9)]
    assert recorded.disagreements == ordinary.disagreements > 0
    assert [str(one) for one in recorded.findings] == [str(one) for one in ordinary.findings]
    assert recorded.first is not None
    assert recorded.first.step == 6


class _Distorting:
    """A recorder that, at the sixth step, tells of other numbers than there were."""

    def __init__(self, gradient: bool) -> None:
        self.gradient = gradient

    def __call__(self, on_step: Callable[[Any], None], *others: Any, **options: Any) -> Any:
        def told(record: Any) -> None:
            if record.step == 6:
                what = "gradients" if self.gradient else "after"
                named = getattr(record, what)
                wrong = {**named, "second/kernel": named["second/kernel"] * 2.0}
                record = replace(record, **{what: wrong})
            on_step(record)

        return _Recorder(told, *others, **options)


_Recorder = compare.steps.engine.Recorder


def test_a_large_network_is_never_recorded(
    small: Model, at_once: None, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = small().count_params()
    monkeypatch.setattr(RecordedSteps, "LARGEST", weights)
    assert long(small()).ok
    assert counted == [1, 2, 4, 8]
    monkeypatch.setattr(RecordedSteps, "LARGEST", weights - 1)
    assert long(small()).ok
    assert counted[4:] == list(range(1, 9))


def test_a_recording_is_asked_again_now_and_then(
    use_precision: Callable[[str], None],
    small: Model,
    at_once: None,
    counted: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_precision("float32")
    monkeypatch.setattr(RecordedSteps, "EVERY", 3)
    assert run(small(), samples=8 * 9).ok
    assert counted == [1, 2, 5, 8]


def test_memory_does_not_grow_with_steps(
    use_precision: Callable[[str], None], small: Model, at_once: None
) -> None:
    """Within an epoch the outputs are kept, for the metrics; from epoch to epoch no array is."""
    use_precision("float32")
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    sizes: list[int] = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            gc.collect()
            alive = tracemalloc.take_snapshot().filter_traces([arrays])
            sizes.append(sum(trace.size for trace in alive.traces))

    tracemalloc.start()
    try:
        run(small(run_eagerly=False), samples=8 * 10, epochs=5, callbacks=[Look()])
    finally:
        tracemalloc.stop()
    assert sizes[-1] == sizes[1], sizes
