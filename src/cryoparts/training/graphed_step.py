"""A training step that a graphics processor does at one word, instead of at 900.

A small step is short work for a card: what takes the time is telling it each of its
operations (26 of 33 ms, measured on 2,048 Gaussians). Once captured as a CUDA graph, on
tensors that stay where they are, the whole step is started by one call.

The first steps run as they would without; then the step is captured, in two graphs: loss
and gradients, and the optimiser. Between the two the gradients may be added up with those
of other processes. Batches of another size (an epoch's last one) run as they would without.
"""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.nn import Parameter

LOG = logging.getLogger(__name__)

WARM_UP = 3
"""Steps before the one that is captured: libraries plan, kernels compile, Adam makes its state."""


class Recorder(Protocol):
    """What captures the work of a function on a device."""

    def aside(self, function: Callable[[], None]) -> None:
        """Run a function as it will be captured, and have what follows wait for it."""

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """What does again, on the same memory, what the function would do now."""


class CudaRecorder:
    """Captures on a stream of its own; the graphs share one pool of memory.

    Parameters
    ----------
    device : torch.device
        A CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def aside(self, function: Callable[[], None]) -> None:
        """Run it on the stream on which it will be captured."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            function()
        current.wait_stream(self._stream)

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """A graph of it."""
        graph = torch.cuda.CUDAGraph()
        # another thread reads the next batch meanwhile, and may allocate memory
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            function()
        replay: Callable[[], None] = graph.replay
        return replay


@dataclass
class _Captured:
    """A captured step, and the memory that it works on."""

    inputs: tuple[Tensor, ...]
    loss: Tensor
    gradients: list[Tensor | None]
    compute: Callable[[], None]
    update: Callable[[], None] | None = None


class TrainingStep:
    """Loss and gradients of a batch, then a step of the optimiser.

    Parameters
    ----------
    loss_of : callable
        The loss, a tensor with gradients, of the tensors of a batch. What is to be captured
        reads nothing back, and no size in it depends on numbers.
    parameters : sequence of Parameter
    optimiser : Optimizer
        Of the parameters; where steps are captured its rate is a tensor (`capturable`).
    recorder : Recorder or None
        None: no step is captured.
    """

    def __init__(
        self,
        loss_of: Callable[..., Tensor],
        parameters: Sequence[Parameter],
        optimiser: torch.optim.Optimizer,
        recorder: Recorder | None = None,
    ) -> None:
        self._loss_of, self._parameters, self._optimiser = loss_of, list(parameters), optimiser
        self._recorder = recorder
        self._captured: _Captured | None = None
        self._replayed = False
        self._alike = 0
        self._shapes: list[torch.Size] = []

    def gradients(self, *batch: Tensor) -> Tensor:
        """The loss; its gradients are in the parameters, in place of those before."""
        self._replayed = False
        if self._recorder is None:
            return self._plainly(*batch)
        shapes = [x.shape for x in batch]
        if self._captured is None:
            self._alike = self._alike + 1 if shapes == self._shapes else 1
            self._shapes = shapes
            if self._alike <= WARM_UP:
                return self._aside(self._recorder, *batch)
            self._capture(self._recorder, batch)
        if self._captured is None or shapes != self._shapes:
            return self._plainly(*batch)
        return self._replay(self._captured, batch)

    def further_gradients(self, *batch: Tensor) -> Tensor:
        """The loss of a part of a batch; its gradients are added to those of other parts."""
        loss = self._loss_of(*batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def no_gradients(self) -> None:
        """Forget the gradients: of a process to which nothing of a batch falls."""
        self._replayed = False
        self._optimiser.zero_grad(set_to_none=True)

    def update(self) -> None:
        """Change the parameters by their gradients."""
        done = self._captured
        if done is None or not self._replayed or self._recorder is None:
            self._step_of_optimiser()
            return
        for parameter, own in zip(self._parameters, done.gradients, strict=True):
            if own is not None and parameter.grad is not None and parameter.grad is not own:
                own.copy_(parameter.grad)
                parameter.grad = own
        if done.update is None:
            done.update = self._recorder.capture(self._step_of_optimiser)
        done.update()

    def _step_of_optimiser(self) -> None:
        with warnings.catch_warnings():
            # that a step which could be captured is not
            warnings.filterwarnings("ignore", ".*capturable=True", UserWarning)
            self._optimiser.step()

    def _plainly(self, *batch: Tensor) -> Tensor:
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._loss_of(*batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _aside(self, recorder: Recorder, *batch: Tensor) -> Tensor:
        found = []
        recorder.aside(lambda: found.append(self._plainly(*batch)))
        return found[0]

    def _capture(self, recorder: Recorder, batch: tuple[Tensor, ...]) -> None:
        inputs = tuple(x.detach().clone() for x in batch)
        found = []
        try:
            compute = recorder.capture(lambda: found.append(self._plainly(*inputs)))
        except RuntimeError as fault:
            LOG.warning(
                "training steps are not captured as a CUDA graph, and take longer: %s",
                str(fault).split("\n", 1)[0],
            )
            self._recorder = None
            return
        gradients = [parameter.grad for parameter in self._parameters]
        self._captured = _Captured(inputs, found[0], gradients, compute)

    def _replay(self, captured: _Captured, batch: tuple[Tensor, ...]) -> Tensor:
        for own, given in zip(captured.inputs, batch, strict=True):
            own.copy_(given)
        for parameter, gradient in zip(self._parameters, captured.gradients, strict=True):
            parameter.grad = gradient
        captured.compute()
        self._replayed = True
        return captured.loss


def recorder_for(device: torch.device) -> Recorder | None:
    """What captures steps on a device; None where that is not possible, or not wanted.

    Wanted it is unless the environment has ``CRYOPARTS_GRAPHS=0``. Without Triton the
    projection reads sizes back from the device, which no graph can.
    """
    if device.type != "cuda" or find_spec("triton") is None:
        return None
    return None if os.environ.get("CRYOPARTS_GRAPHS") == "0" else CudaRecorder(device)
