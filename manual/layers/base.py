"""What every layer is: a map with weights, and its derivative written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from manual.activations import ActivationFunction, Linear
from manual.arrays import Array
from manual.constraints import Constraint
from manual.layers.parameter import Parameter
from manual.layers.symbol import NO_MASKS, GivenMasks, Symbol, several
from manual.randomness import Draws
from manual.registry import NoTwin, from_keras, twin, understood
from manual.regularizers import Regularizer

Shape = tuple[int, ...]
"""The shape of one sample: the batch axis is left out."""


class Layer:
    """A map with weights, and its derivative written by hand.

    ``forward`` returns what ``backward`` needs; nothing is stashed on the layer, so it may be used
    several times in one network (a shared layer, time steps) and its gradients add up.

    What a subclass may have beside its map, and a plain layer goes without:

    - *weights*, declared with `add_weight` in `build`;
    - *state*, weights that a training step's forward pass changes: declared with
      ``is_state=True`` and changed in `update_state`, as are weights that ``is_prepared``;
    - *randomness*, asked of ``self.draws`` and of nothing else, so that it can be replayed;
    - a *mask*: with ``takes_mask = True`` ``forward`` has an argument ``mask`` more (and gets it
      only where there is one). What mask the output has, `compute_mask` says; a layer that makes
      one out of nothing says so with ``makes_mask``;
    - *options of a call* such as ``use_causal_mask=True``, listed in ``call_options``:
      ``forward`` gets them as keywords. A layer that takes its inputs by name has the names, in
      the order of its list of inputs, in ``tensor_arguments``.

    A layer's map ends at its pre-activation. Where a layer is given an ``activation``, the network
    runs it as a step of its own, so that its derivative is checked, and shown, separately.

    Attributes
    ----------
    derivation : mapping of str to str
        The formulas by quantity, in the field's notation. Reports print these very lines.
    parameters : list of Parameter
        In Keras's order. Empty until the layer has been built.
    precision : str or None
        What Keras computes the layer in, where its configuration says so. The arrays here are those
        of the network; by this its noise is measured.
    gives_single : bool
        Whether Keras hands its output on in float32, whatever the policy: what comes back to it is
        rounded, too.
    is_exact : bool
        Whether it makes whole numbers of whole numbers, which nothing rounds.
    takes_exact : bool
        Whether what it takes are numbers of things, which no precision rounds either.
    always_moves : bool
        Whether its state changes at inference, too, and though it isn't trained itself.
    keeps_draws : bool
        Whether what it has once drawn serves all its calls.
    loss_scale : float
        What the gradients that arrive are multiplied by: whose activities inside cost something
        has to know.
    hands_on : bool
        Whether Keras returns the very tensor that it takes, with all that is known of it.
    last_activation : ActivationFunction, or None
        What its map ends with, where that is known: a loss may ask for what it takes.
    activity_regularizer : Regularizer, or None
        What each of its outputs costs. Every layer of Keras has that option, so `from_config`
        takes it for all of them.
    costs : bool
        Whether its last output is added to the loss.
    """

    kind: ClassVar[str] = "layer"
    is_exact: bool = False
    takes_exact: ClassVar[bool] = False
    derivation: ClassVar[Mapping[str, str]] = {}
    hands_on: bool = False
    last_activation: ActivationFunction | None = None
    takes_mask: ClassVar[bool] = False
    makes_mask: bool = False
    gives_single: bool = False
    keeps_draws: ClassVar[bool] = False
    always_moves: ClassVar[bool] = False
    masks_further: ClassVar[bool] = False
    has_costs_within: bool = False
    loss_scale: float = 1.0
    costs: ClassVar[bool] = False
    tensor_arguments: tuple[str, ...] = ()
    call_options: ClassVar[frozenset[str]] = frozenset()
    _counts: ClassVar[dict[str, int]] = {}

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        activation: str | Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> None:
        self.name = name or self._automatic_name()
        self.trainable = trainable
        self.activation: ActivationFunction = from_keras(
            "activation", activation or "linear", f"layer {self.name!r}"
        )
        self.parameters: list[Parameter] = []
        self.draws = Draws(seed)
        self.activity_regularizer: Regularizer | None = None
        self.built = False
        self.calls = 0
        self.precision: str | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """Build the layer from Keras's configuration dictionary of its twin."""
        owner = f"layer {config['name']!r} ({cls.__name__})"
        config = dict(config)
        penalty = config.pop("activity_regularizer", None)
        layer = cls(**{"name": config["name"], **understood(cls, config, owner)})
        if penalty is not None:
            layer.regularize_activity(from_keras("regularizer", penalty, owner))
        return layer

    def regularize_activity(self, penalty: Regularizer) -> None:
        """Let the layer's outputs cost something; by default those that it gives."""
        self.activity_regularizer = penalty

    # ------------------------------------------------------------------ the mathematics

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        """Return the layer's output, or a list of several, and what `backward` needs."""
        raise NotImplementedError

    def backward(self, dy: Array, saved: Any) -> Array:
        """Return the gradient for the layer's input; add to each parameter's gradient.

        A layer with several inputs returns a list, and takes one. A layer with several outputs
        gets a list: None stands for an output that no gradient comes back to, and for an input to
        which none goes.
        """
        raise NotImplementedError

    def compute_mask(self, x: Array, mask: Any) -> Any:
        """Return the output's mask, True where a time step counts; by default the input's.

        Parameters
        ----------
        x : array, or list of arrays
        mask : array of bool with a sample and a time axis, or None; a list of these for a layer
            with several inputs

        Returns
        -------
        array or None; a list of these for a layer with several outputs
        """
        return None if isinstance(mask, list) else mask

    def further_masks(self, saved: Any) -> Sequence[Any]:
        """Return the masks of the second output and those behind it, with ``masks_further``.

        They are made by the map itself.
        """
        return ()

    def costs_within(self, saved: Any) -> Iterator[Array]:
        """Give what activities inside the map cost, with ``has_costs_within``.

        Their gradients, times ``loss_scale``, are `backward`'s own affair.
        """
        yield from ()

    @property
    def keeps_state(self) -> bool:
        """Whether a forward pass in training changes something, be the weights frozen or not."""
        return any(parameter.is_state for parameter in self.parameters)

    def update_state(self, saved: Any) -> None:
        """Change the layer's state, in place, after a forward pass in training."""

    # ------------------------------------------------------------------ shapes and weights

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        """Create the parameters for an input of this shape. Layers without weights have none."""

    def output_shape(self, input_shape: Any) -> Any:
        """Return the shape of one output sample, or a list of the shapes of several outputs."""
        return input_shape

    def add_weight(
        self,
        name: str,
        initial: Array,
        constraint: Any = None,
        regularizer: Any = None,
        *,
        trainable: bool = True,
        is_state: bool = False,
    ) -> Parameter:
        """Declare a weight, with its initial value, in Keras's order.

        Constraint and regularizer are given as Keras's configuration has them, or as objects.
        """
        owner = f"layer {self.name!r}"
        if constraint is not None and not isinstance(constraint, Constraint):
            constraint = from_keras("constraint", constraint, owner)
        if regularizer is not None and not isinstance(regularizer, Regularizer):
            regularizer = from_keras("regularizer", regularizer, owner)
        trainable = trainable and self.trainable and not is_state
        parameter = Parameter(name, initial, constraint, regularizer, trainable, is_state)
        self.parameters.append(parameter)
        return parameter

    # ------------------------------------------------------------------ building a graph

    def __call__(self, *inputs: Symbol, **named: Any) -> Any:
        """Apply the layer to symbolic values, as in Keras's functional style.

        Returns
        -------
        Symbol, or a list of Symbol for a layer with several outputs
        """
        self.calls += 1
        return self.apply(*inputs, call=self.calls - 1, **named)

    def apply(
        self,
        *inputs: Symbol,
        call: int,
        training: bool | None = None,
        masks: GivenMasks = NO_MASKS,
        **named: Any,
    ) -> Any:
        """Make the symbol of one numbered call, followed by the activation if there is one.

        With ``training`` the layer is in training or not, whatever the network is in; ``masks`` are
        those that are given by hand.
        """
        if masks.at and not self.takes_mask:
            raise NoTwin(f"layer {self.name!r}: it is given a mask, of which its twin takes none.")
        inputs, options = self._arranged(inputs, named)
        if training is not None:
            options["training"] = training
        shapes = [symbol.shape for symbol in inputs]
        shape = shapes[0] if len(shapes) == 1 else shapes
        if not self.built:
            self.build(shape, np.random.default_rng(list(self.name.encode())))
            self.built = True
        made = self.output_shape(shape)
        if isinstance(made, list):
            return several(self, inputs, made, call, options, masks)
        output = Symbol(self, inputs, made, call, options=options, masks=masks)
        if isinstance(self.activation, Linear):
            return output
        *before, last = self.activation.parts
        for function in before:
            output = self.activated(output, function, is_before_last=True)
        return self.activated(output, last)

    def activated(
        self, output: Symbol, function: ActivationFunction, *, is_before_last: bool = False
    ) -> Symbol:
        """Make the symbol of an activation of what this layer gave at a call."""
        applied = twin("layer", "Activation")(activation=function, name=self.name)
        applied.precision = self.precision
        applied.activity_regularizer = self.activity_regularizer
        return Symbol(
            applied,
            (output,),
            function.output_shape(output.shape),
            output.call,
            is_activation_of_its_input=not output.is_logits,
            is_logits=is_before_last,
        )

    def _arranged(
        self, inputs: Sequence[Symbol], named: Mapping[str, Any]
    ) -> tuple[tuple[Symbol, ...], dict[str, Any]]:
        """Put inputs that were given by name in their order; what else was, is an option."""
        by_name = {name: value for name, value in named.items() if isinstance(value, Symbol)}
        options = {name: value for name, value in named.items() if name not in by_name}
        rest = [name for name in self.tensor_arguments[len(inputs) :] if name in by_name]
        for name in named:
            if name not in (rest if name in by_name else self.call_options):
                raise NoTwin(
                    f"layer {self.name!r}: it is called with {name}=…, which has no hand-derived "
                    "twin yet."
                )
        return (*inputs, *(by_name[name] for name in rest)), options

    def _automatic_name(self) -> str:
        family = type(self).__name__.lower()
        Layer._counts[family] = Layer._counts.get(family, -1) + 1
        return f"{family}_{Layer._counts[family]}" if Layer._counts[family] else family

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"
