"""From the configuration of a Keras model to the graph of its twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from manual.inbound_nodes import MASKS, Config, TensorAt, arguments_of, calls_within, ends_of
from manual.layers import InputLayer, Layer, Symbol
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

    def within(
        self, model: _Model, sources: Sequence[Symbol], call: int, training: bool | None
    ) -> list[Symbol]:
        """Call a model within this one."""
        outputs = model.called(sources, call, training)
        self.given_within += [*outputs, *model.given_within]
        return outputs

    def _kept(self, part: Layer, made: list[Symbol]) -> list[Symbol]:
        """Return the symbols of a call; what costs something is run though nobody takes it."""
        if part.costs:
            self.given_within += made
        return made

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
                symbols = _listed(part.apply(*symbols, call=call, **_told(training)))
        return symbols


class _Functional(_Model):
    def input_layers(self) -> list[InputLayer]:
        layers = [self.part(name) for name, *_ in ends_of(self.config["input_layers"])]
        return [layer for layer in layers if isinstance(layer, InputLayer)]

    def called(
        self, sources: Sequence[Symbol], call: int, training: bool | None = None
    ) -> list[Symbol]:
        training = False if self.config.get(INFERS) else training
        by_hand = _masks_by_hand(self)
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
            if (name, node) in by_hand:
                given["mask"] = at(*by_hand[name, node])
            try:
                return self._kept(part, _listed(part.apply(*taken, call=number, **given)))
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
            if (name, node) in by_hand and (name, node) not in made:
                before.append(by_hand[name, node][:2])
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
        return [(source, call) for source, call, _ in histories]


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
    return str(entry.get("module", "")).startswith("keras.src.ops.")


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


def _masks_by_hand(model: _Model) -> dict[tuple[str, int], tuple[str, int, int]]:
    """Find the masks that were made by hand: which call takes which tensor for its mask.

    Keras writes down the operations by which a mask is made and carried on. It is a layer's own
    if all that is compared in them is what such a layer takes: the twin carries those by itself.
    """
    entries = model.entries
    layers = {name: model.part(name) for name, one in entries.items() if not is_operation(one)}
    masked = {
        history
        for name, part in layers.items()
        if isinstance(part, Layer) and part.makes_mask
        for node in entries[name]["inbound_nodes"]
        for history in calls_within(node["args"])
    }

    def compared(name: str, call: int) -> Iterator[tuple[str, int]]:
        if name in layers:
            yield name, call
        elif entries[name]["class_name"] not in ("ZerosLike", "OnesLike"):
            for history in calls_within(entries[name]["inbound_nodes"][call]["args"]):
                yield from compared(*history)

    found = {}
    for name in layers:
        for call, node in enumerate(entries[name]["inbound_nodes"]):
            given = {option: node["kwargs"].get(option) for option in MASKS}
            given = {key: mask for key, mask in given.items() if _is_told(mask)}
            masks = list(calls_within(list(given.values())))
            by_layers = bool(masks) and all(masked.issuperset(compared(*one)) for one in masks)
            if given and not by_layers:
                alone = len(list(calls_within(node["args"]))) == len(masks) == 1
                fed = alone and isinstance(layers.get(masks[0][0]), InputLayer)
                if set(given) != {"mask"} or not fed:
                    raise NoTwin(
                        f"The layer {name!r} is called with mask=…, a mask that no layer makes and "
                        "that is no input of the model, which has no hand-derived twin."
                    )
                found[name, call] = tuple(given["mask"]["config"]["keras_history"])
    return found


def _is_told(mask: Any) -> bool:
    return any(map(_is_told, mask)) if isinstance(mask, (list, tuple)) else mask is not None
