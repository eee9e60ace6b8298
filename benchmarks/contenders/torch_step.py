"""PyTorch: a module, a loss and an optimizer, eager or with the loss compiled."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.contenders.base import Stepwise
from benchmarks.contenders.torch_layers import Graph
from benchmarks.problem import Problem


class Eager(Stepwise):
    """The usual four lines: no gradients, the loss, backward, the update."""

    def __init__(self, problem: Problem) -> None:
        torch.set_default_dtype(getattr(torch, problem.dtype))
        super().__init__(problem)
        self.loss_of = mse_loss if problem.architecture.loss == "mse" else cross_entropy
        self.module = Graph(problem.architecture, problem.weights)
        self.start = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.forward = self.loss
        self.about = f"PyTorch {torch.__version__} with {torch.get_num_threads()} threads"

    def converted(self, x: Any, y: Any) -> tuple[Any, Any]:
        if x.ndim == 4:
            x = x.transpose(0, 3, 1, 2).copy()
        if self.problem.architecture.loss != "mse":
            y = y.argmax(axis=1)
        return torch.from_numpy(x), torch.from_numpy(y)

    def reset(self) -> None:
        self.module.load_state_dict(self.start)
        options = self.problem.options
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        if self.problem.optimizer == "SGD":
            self.optimizer: torch.optim.Optimizer = torch.optim.SGD(
                parameters, lr=options["learning_rate"]
            )
        else:
            self.optimizer = torch.optim.Adam(
                parameters,
                lr=options["learning_rate"],
                betas=(options["beta_1"], options["beta_2"]),
                eps=options["epsilon"],
            )

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.loss_of(self.module(x), y)

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = self.forward(x, y)
        loss.backward()
        self.optimizer.step()
        return loss


class Compiled(Eager):
    """The same, with ``torch.compile`` around the module and its loss."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.forward = torch.compile(self.loss)
