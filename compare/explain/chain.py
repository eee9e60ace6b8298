"""The gradient at one unit: what comes to it from the loss, or from the units to the right."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import numpy as np

from compare.explain.page import Page
from manual.heads import Head, as_target, of_each
from manual.layers import Activation, Dense, Dropout, Flatten

UNIT_BY_UNIT = (Activation, Dropout, Flatten)
"""What hands units on and can be written out; a row of a softmax is a sum over the units."""

MOST_WITH_SYMBOLS = 3
"""A sum of more products than this is written in numbers alone, or not at all."""

Term = tuple[str, str]
"""What is added up, in symbols and in numbers."""


class ChainPage(Page):
    """What has to do with one unit of a dense layer.

    Attributes
    ----------
    most_products : int
        A sum of more products is only mentioned.
    """

    most_products = MOST_WITH_SYMBOLS

    def delta(self, node: int, sample: int, unit: int) -> Iterator[str]:
        """Write ∂E/∂net of one unit: from the loss, or from the units to the right."""
        E, net = self.E, self.node_symbol(node, unit)
        dz = self.gradient(node, sample, unit)
        if dz is None:
            yield f"  the loss doesn't depend on {net}"
            return
        after = self.factor_after(node, sample)
        if after is None:
            how = ""
            for head in self.heads_at(node):
                if head.from_logits:
                    yield f"  {type(head.loss).__name__} and the activation, taken together:"
                elif head.loss.from_logits:
                    yield f"  {type(head.loss).__name__}, from the logits:"
                elif not self.users(node):
                    how = self.formula(head)
                yield from self.weighed(head, sample)
            yield from self.from_the_right(node, sample, unit)
            yield self.row(f"∂{E}/∂{net}{how}", dz)
            return
        out = self.node_symbol(after, unit)
        da = self.gradient(after, sample, unit)
        assert da is not None
        for head in self.heads_at(after):
            yield from self.target(head, after, sample, unit)
            yield from self.weighed(head, sample)
        yield from self.from_the_right(after, sample, unit)
        yield self.row(f"∂{E}/∂{out}", da)
        products = self.handed_on(node, after, sample, unit)
        if len(products) > 1:
            yield from self.sum_of(f"∂{E}/∂{net}", products, f"unit of {self.layer_name(after)}")
            yield self.row(f"∂{E}/∂{net}", dz)
            return
        local = self.local(after, sample, unit)
        yield self.row(f"∂{out}/∂{net}", (local, dz[1] / da[1] if da[1] else local))

    def factor_after(self, node: int, sample: int) -> int | None:
        """Return the activation through which all of a unit's gradient comes, if there is one."""
        after = self.activation_after(node)
        if after is None or self.heads_at(node) or self.step.run.gradients[after] is None:
            return None
        return after if self.keeps_samples_apart(after, sample) else None

    def keeps_samples_apart(self, node: int, sample: int) -> bool:
        """Say whether what a node makes of a sample depends on that sample alone."""
        for unit in range(self.values[node].shape[1]):
            others = np.delete(self.reach(node, sample, unit), sample, axis=0)
            if others.any():
                return False
        return True

    def from_the_right(self, node: int, sample: int, unit: int) -> Iterator[str]:
        """Write ∂E/∂out = Σ ∂E/∂net · w over the units that this one feeds."""
        products: list[Term] = []
        users = [one for one in self.users(node) if self.step.run.gradients[one] is not None]
        for user in users:
            layer = self.network.nodes[user].layer
            if isinstance(layer, Dense):
                products += self.carried_back(user, sample, unit)
            elif isinstance(layer, UNIT_BY_UNIT) and self.can_be_followed(user, node, sample):
                yield from self.from_the_right(user, sample, unit)
                arrived = self.gradient(user, sample, unit)
                assert arrived is not None
                yield self.row(f"∂{self.E}/∂{self.node_symbol(user, unit)}", arrived)
                products += self.handed_on(node, user, sample, unit)
            else:
                share = float(self.step.run.shares[node][user][sample, unit])
                products.append((f"what comes through {layer.name}", signed(share, 9)))
        if products:
            each = f"unit of {self.layer_name(users[0])}" if len(users) == 1 else "unit it feeds"
            rest = list(self.own_share(node, sample, unit))
            whole = f"∂{self.E}/∂{self.node_symbol(node, unit)}"
            yield from self.sum_of(whole, products, each, rest)

    def carried_back(self, user: int, sample: int, unit: int) -> Iterator[Term]:
        """Give the products ∂E/∂net · w of a dense layer's units, in symbols and in numbers."""
        name = f"{self.layer_name(user)}/kernel"
        kernel = self.step.weights[name]
        for k in range(kernel.shape[1]):
            dz = self.gradient(user, sample, k)
            assert dz is not None
            yield (
                f"∂{self.E}/∂{self.node_symbol(user, k)} · {self.symbol(name, unit, k)}",
                f"{signed(dz[0], 9)} · {signed(kernel[unit, k], 9)}",
            )

    def can_be_followed(self, user: int, node: int, sample: int) -> bool:
        same = self.values[user].shape == self.values[node].shape
        return same and self.keeps_samples_apart(user, sample)

    def handed_on(self, node: int, user: int, sample: int, unit: int) -> list[Term]:
        """Return the products ∂E/∂y · ∂y/∂x over the numbers y that a node makes of one x."""
        x, products = self.node_symbol(node, unit), []
        for k in range(self.values[user].shape[1]):
            slope, dy = self.reach(user, sample, k)[sample, unit], self.gradient(user, sample, k)
            assert dy is not None
            if slope or k == unit:
                y = self.node_symbol(user, k)
                numbers = f"{signed(dy[0], 9)} · {signed(slope, 9)}"
                products.append((f"∂{self.E}/∂{y} · ∂{y}/∂{x}", numbers))
        return products

    def own_share(self, node: int, sample: int, unit: int) -> Iterator[Term]:
        """Give what a unit's gradient has from the loss itself, beside the units it feeds."""
        penalty = self.network.nodes[node].penalty
        if self.heads_at(node) or penalty is not None:
            shares = self.step.run.shares[node].values()
            whole = self.step.run.gradients[node]
            assert whole is not None
            rest = float(whole[sample, unit] - sum(share[sample, unit] for share in shares))
            yield "the part of the loss itself", signed(rest, 9)

    def sum_of(
        self, whole: str, products: list[Term], each: str, rest: Sequence[Term] = ()
    ) -> Iterator[str]:
        """Write a sum of products and the rest: in symbols where they are few, and in numbers."""
        terms = [*products, *rest]
        if len(products) <= MOST_WITH_SYMBOLS:
            yield f"  {whole} = {' + '.join(symbols for symbols, _ in terms)}"
        else:
            besides = "".join(f", and {symbols}" for symbols, _ in rest)
            yield f"  the sum of {len(products)} products, one for each {each}{besides}:"
        if len(products) <= self.most_products:
            yield f"    = {' + '.join(numbers for _, numbers in terms)}"

    # ------------------------------------------------------------------ the loss

    def heads_at(self, node: int) -> list[Head]:
        """Return the losses that read a node."""
        return [head for head in self.network.heads if head.reads == node]

    def formula(self, head: Head) -> str:
        """Return a loss's derivative in its own words, where they are all there is to say."""
        told = head.loss.derivation.get("input gradient", "")
        usual = inspect.signature(type(head.loss)).parameters.get("reduction")
        is_all = (
            told.startswith("dp = ")
            and usual is not None
            and head.loss.reduction == usual.default
            and head.weight == 1.0
            and self.sample_weight(head) is None
            and self.network.nodes[head.reads].penalty is None
        )
        return f" = {told.removeprefix('dp = ')}" if is_all else ""

    def target(self, head: Head, node: int, sample: int, unit: int) -> Iterator[str]:
        """Write what a loss wants of an output's unit."""
        y = np.asarray(self.of_head(head, self.step.record.y))
        if head.loss.takes_classes:
            yield f"  target: class {y.reshape(self.step.samples, -1)[sample, 0]:.10g}"
            return
        target = as_target(y, self.values[node])
        if target.shape == self.values[node].shape:
            yield f"  target {float(target[sample, unit]):.10g}"

    def weighed(self, head: Head, sample: int) -> Iterator[str]:
        """Write by what a loss is multiplied, if by anything."""
        given = self.sample_weight(head)
        if given is not None and given.size == self.step.samples:
            yield f"  this sample's weight in the loss {float(given.reshape(-1)[sample]):.10g}"
        if head.weight != 1.0:
            yield f"  this output's weight in the loss {head.weight:.10g}"

    def sample_weight(self, head: Head) -> np.ndarray | None:
        given = self.of_head(head, self.step.record.sample_weight)
        return None if given is None else np.asarray(given)

    def of_head(self, head: Head, given: object) -> object:
        part: object = of_each(self.network.heads, given)[self.network.heads.index(head)]
        return part

    def layer_name(self, node: int) -> str:
        return self.network.nodes[node].layer.name


def signed(number: float, digits: int) -> str:
    """Write a number as a factor: in brackets where it is negative."""
    written = f"{number:.{digits}g}"
    return f"({written})" if written.startswith("-") else written
