"""From the configuration of a Keras model to the graph of its twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from manual.inbound_nodes import (
    NOT_CARRIED,
    Config,
    TensorAt,
    arguments_of,
    calls_within,
    ends_of,
    masks_of,
)
from manual.layers import InputLayer, Layer, Symbol
from manual.layers.symbol import GivenMasks
from manual.operations import Operation, narrow_precision, read_call
from manual.registry import NoTwin, keras_name, twin

Otherwise = Callable[[Config, str, NoTwin], Layer]
"""What to put in place of a layer that has no twin: made of its entry in a configuration, its path,
and what is missing; it may raise that."""


INFERS = "infers"
"""Where in the configuration of a model stands that it is in inference at all times."""
KIND_OF_NUMBERS = "kind_of_numbers"
"""Where in the entry of an operation stands what dtype it gives, if somebody put it there: Keras
writes down of what its inputs are alone."""


def symbols_from_config(
    config: Config,
    otherwise: Otherwise | None = None,
    shapes: Sequence[Sequence[int]] | None = None,
) -> tuple[list[Symbol], list[Symbol], list[Layer], list[Symbol]]:
    """Rebuild the graph that a Keras model's ``get_config()`` describes.

    Parameters
    ----------
    config : mapping
    otherwise : callable, optional
        What to do about layers without a twin; by default they are refused.
    shapes : sequence of shape, optional
        Of a sample of each input, where the configuration leaves sizes open.

    Returns
    -------
    inputs, outputs : lists of Symbol
    layers : list of Layer
        In Keras's order, which is the order of its weights.
    unused : list of Symbol
        What models within give although nothing depends on it. Keras runs it all the same, and
        state changes by it.

    Raises
    ------
    NoTwin
        If a layer, or an option of one, has no hand-derived counterpart.
    """
    model = _model(config, "", otherwise)
    layers = model.input_layers()
    sizes = [layer.shape for layer in layers] if shapes is None else shapes
    inputs = [layer.of_size(size) for layer, size in zip(layers, sizes, strict=True)]
    outputs = model.called(inputs, 0)
    return inputs, outputs, list(model.layers()), model.given_within


class _Model:
    """A model in a configuration: its layers are made once, and called as often as it is.

    A model within another is no layer of the twin. Its layers are, under its name:
    ``encoder/dense``.
    """

    def __init__(self, config: Config, path: str, otherwise: Otherwise | None) -> None:
        self.config, self.path, self.otherwise = config, path, otherwise
        self.entries = {_name(entry): entry for entry in config["layers"]}
        self.parts: dict[str, Layer | _Model] = {}
        self.given_within: list[Symbol] = []

    def part(self, name: str) -> Layer | _Model:
        """Return a layer, or a model within, by its name; make it when first asked for."""
        if name not in self.parts:
            entry, path = self.entries[name], self.path + name
            if _is_model(entry["config"]):
                self.parts[name] = _model(entry["config"], f"{path}/", self.otherwise)
            else:
                self.parts[name] = self._layer(entry, path)
        return self.parts[name]

    def _layer(self, entry: Config, path: str) -> Layer:
        name = keras_name(entry)
        try:
            kind = "operation" if is_operation(entry) else "layer"
            layer_class = twin(kind, name, f"the {kind} {path!r}")
            _check_whose(entry, layer_class)
            layer: Layer = layer_class.from_config(entry["config"])  # type: ignore[attr-defined]
        except NoTwin as missing:
            if self.otherwise is None:
                raise
            layer = self.otherwise(entry, path, missing)
        layer.name = path
        if is_operation(entry):
            numbers = entry.get(KIND_OF_NUMBERS)
            layer.is_exact = numbers is not None and "float" not in numbers
            layer.precision = _precision(numbers) or narrow_precision(entry["inbound_nodes"])
        elif not isinstance(layer, InputLayer):
            layer.precision = _precision(entry["config"].get("dtype"))
        return layer

    def made(self, given: Any, part: Layer) -> list[Symbol]:
        """Return the outputs of a call. Where they cost something, none may be left out."""
        outputs = _listed(given)
        if part.costs or (part.activity_regularizer is not None and len(outputs) > 1):
            self.given_within += outputs
        return outputs

    def within(
        self, model: _Model, sources: Sequence[Symbol], call: int, training: bool | None
    ) -> list[Symbol]:
        """Call a model within this one."""
        outputs = model.called(sources, call, training)
        self.given_within += [*outputs, *model.given_within]
        return outputs

    def layers(self) -> Iterator[Layer]:
        """Give all layers that were made, in Keras's order."""
        for name in self.entries:
            part = self.parts.get(name)
            if isinstance(part, _Model):
                yield from part.layers()
            elif part is not None:
                yield part

    def input_layers(self) -> list[InputLayer]:
        """Return the layers by which numbers come in."""
        raise NotImplementedError

    def called(
        self, sources: Sequence[Symbol], call: int, training: bool | None = None
    ) -> list[Symbol]:
        """Make the symbols of one numbered call; return those of its outputs.

        ``training`` is what the model was told, whatever the network does.
        """
        raise NotImplementedError


class _Sequential(_Model):
    def input_layers(self) -> list[InputLayer]:
        first = self.part(next(iter(self.entries)))
        if not isinstance(first, InputLayer):
            shape = self.config.get("build_input_shape")
            if not shape:
                raise ValueError(
                    f"The model {self.config['name']!r} doesn't know its input shape yet: "
                    "start it with keras.Input(...) or call it once."
                )
            first = InputLayer(batch_shape=shape, name="input")
        return [first]

    def called(
        self, sources: Sequence[Symbol], call: int, training: bool | None = None
    ) -> list[Symbol]:
        symbols = list(sources)
        for part in map(self.part, self.entries):
            if isinstance(part, _Model):
                symbols = self.within(part, symbols, call, training)
            elif not isinstance(part, InputLayer):
                symbols = self.made(part.apply(*symbols, call=call, **_told(training)), part)
        return symbols


class _Functional(_Model):
    def input_layers(self) -> list[InputLayer]:
        layers = [self.part(name) for name, *_ in ends_of(self.config["input_layers"])]
        return [layer for layer in layers if isinstance(layer, InputLayer)]

    def called(
        self, sources: Sequence[Symbol], call: int, training: bool | None = None
    ) -> list[Symbol]:
        training = False if self.config.get(INFERS) else training
        fed = zip(ends_of(self.config["input_layers"]), sources, strict=True)
        made: dict[tuple[str, int], list[Symbol]] = {
            (name, node): [symbol] for (name, node, _), symbol in fed
        }

        def applied(name: str, node: int) -> list[Symbol]:
            nodes, part = self.entries[name]["inbound_nodes"], self.part(name)
            number = call * len(nodes) + node
            if isinstance(part, Operation):
                histories, arguments = read_call(nodes[node], part.name)
                taken = [at(*history) for history in histories]
                return _listed(part.apply(*taken, call=number, arguments=arguments))
            histories, named = arguments_of(nodes[node], part)
            taken = [at(*history) for history in histories]
            if isinstance(part, _Model):
                return self.within(part, taken, number, training)
            given: dict[str, Any] = {
                option: at(*value.history) if isinstance(value, TensorAt) else value
                for option, value in named.items()
            }
            given |= _told(training)
            masks, go_on = self._given_masks(name, node)
            if masks:
                of_symbols = {place: one and at(*one.history) for place, one in masks.items()}
                given["masks"] = GivenMasks(of_symbols, go_on)
            try:
                return self.made(part.apply(*taken, call=number, **given), part)
            except NoTwin as missing:  # of an option of the call
                if self.otherwise is None:
                    raise
                self.parts[name] = other = self.otherwise(self.entries[name], part.name, missing)
                return _listed(other.apply(*taken, call=number, **given))

        def at(name: str, node: int, output: int) -> Symbol:
            return made[name, node][output]

        ends = [self._end(*end) for end in ends_of(self.config["output_layers"])]
        waiting = [(name, node) for name, node, _ in reversed(ends)]
        while waiting:  # one after the other: Python wouldn't go as deep as some networks are
            name, node = waiting[-1]
            before = [] if (name, node) in made else self._before(name, node)
            missing = [one for one in before if one not in made]
            waiting += reversed(missing)
            if not missing:
                waiting.pop()
                if (name, node) not in made:
                    made[name, node] = applied(name, node)
        return [at(*end) for end in ends]

    def _end(self, name: str, node: int, output: int) -> tuple[str, int, int]:
        """Return of which call an output is: of a Functional model Keras counts those from 1 there.

        It takes the model's own graph for a call of it, but only where it writes down the outputs.
        """
        return name, node - isinstance(self.part(name), _Functional), output

    def _before(self, name: str, node: int) -> list[tuple[str, int]]:
        """Return the calls whose outputs one takes."""
        inbound, part = self.entries[name]["inbound_nodes"][node], self.part(name)
        if isinstance(part, Operation):
            return [(source, call) for source, call, _ in read_call(inbound, part.name)[0]]
        histories, named = arguments_of(inbound, part)
        histories += [value.history for value in named.values() if isinstance(value, TensorAt)]
        masks, _ = self._given_masks(name, node)
        histories += [one.history for one in masks.values() if one is not None]
        return [(source, call) for source, call, _ in histories]

    def _given_masks(self, name: str, node: int) -> tuple[dict[int, TensorAt | None], bool]:
        """Return the masks given to a call by hand, by its inputs' places; and whether they go on.

        Keras writes down the operations by which a mask is made and carried on. It is a layer's
        own, which the twin carries by itself, if all that is compared in them is what such a layer
        takes, and the call's input has a mask.
        """
        inbound, part = self.entries[name]["inbound_nodes"][node], self.part(name)
        written = [
            (option, place, mask, option in inbound.get(NOT_CARRIED, ()) or self._is_made(mask))
            for option, place, mask in masks_of(inbound)
        ]
        if not any(by_hand for *_, by_hand in written):
            return {}, False
        if not isinstance(part, Layer):
            raise NoTwin(
                f"The model {name!r} is called with a mask, which has no hand-derived twin."
            )
        if written[0][0] == "mask":  # it stands for all inputs' masks
            return {place: mask for _, place, mask, _ in written}, True
        places = [part.tensor_arguments.index(one.removesuffix("_mask")) for one, *_ in written]
        pairs = zip(places, written, strict=True)
        return {place: mask for place, (_, _, mask, by_hand) in pairs if by_hand}, False

    def _is_made(self, mask: TensorAt | None) -> bool:
        """Say whether something is compared to make a mask that no layer takes that makes one."""
        waiting = [] if mask is None else [mask.history[:2]]
        while waiting:
            name, call = waiting.pop()
            entry = self.entries[name]
            if (name, call) in self._masked or entry["class_name"] in ("ZerosLike", "OnesLike"):
                continue
            if not is_operation(entry):
                return True
            waiting += calls_within(entry["inbound_nodes"][call]["args"])
        return False

    @cached_property
    def _masked(self) -> set[tuple[str, int]]:
        """What layers that make masks take."""
        makers = [
            entry
            for name, entry in self.entries.items()
            if not is_operation(entry) and getattr(self.part(name), "makes_mask", False)
        ]
        nodes = [node for entry in makers for node in entry["inbound_nodes"]]
        return {history for node in nodes for history in calls_within(node["args"])}


def _model(config: Config, path: str, otherwise: Otherwise | None) -> _Model:
    kind = _Functional if "input_layers" in config else _Sequential
    return kind(config, path, otherwise)


def _is_model(config: Config) -> bool:
    return "layers" in config and ("input_layers" in config or "build_input_shape" in config)


def _precision(policy: Any) -> str | None:
    """Return what a dtype policy has its layer compute in; None for whole numbers."""
    name = policy["config"].get("name") if isinstance(policy, dict) else policy
    return name.removeprefix("mixed_") if isinstance(name, str) and "float" in name else None


def is_operation(entry: Config) -> bool:
    """Say whether it is one of Keras's operations, whose names some layers have too: Add."""
    return str(entry.get("module", "")).startswith(("keras.src.ops.", "keras.src.activations."))


def _name(entry: Config) -> str:
    """Return the name of a layer, which an operation has outside its configuration too."""
    return str(entry["name"] if "name" in entry else entry["config"]["name"])


def _check_whose(entry: Config, layer_class: type) -> None:
    """Refuse to take a user's own class for one of Keras's that has the same name."""
    of_keras = str(entry.get("module") or "keras").startswith("keras")
    if layer_class.__module__.startswith("manual.") and not of_keras:
        raise NoTwin(
            f"The class {entry['class_name']!r} is none of Keras's, and has no hand-derived twin."
        )


def _told(training: bool | None) -> dict[str, Any]:
    return {} if training is None else {"training": training}


def _listed(given: Any) -> list[Symbol]:
    return given if isinstance(given, list) else [given]
