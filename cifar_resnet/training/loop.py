"""The training loop: steps, epochs and the state stored in a checkpoint; uses no files and no terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cifar_resnet.errors import RunError
from cifar_resnet.precisions import PRECISIONS
from cifar_resnet.run.schema import Config
from cifar_resnet.training import kernel_choice, optimizer, random_state
from cifar_resnet.training.data import Dataset, Draws, Split, crop_and_flip, draw_epoch, normalise
from cifar_resnet.training.diagnostics import choose_batch, measure_layers
from cifar_resnet.training.evaluator import Evaluator
from cifar_resnet.training.graph import StepGraphs, StepInputs
from cifar_resnet.training.metrics import Row, rounded
from cifar_resnet.training.models import Network, build_network
from cifar_resnet.training.precision import autocast
from cifar_resnet.training.schedule import WARMUP_FACTOR, Schedule, Warmup, count_steps
from cifar_resnet.training.sums import Sums


class Diverged(RunError):
    """The training loss, or a weight after the last step, is not a finite number."""


def network_of(config: Config, channels: int, classes: int) -> Network:
    """The network that a config describes, initialized from torch's global random state."""
    model = config.model
    return build_network(
        model.name,
        config.depth,
        model.shortcut,
        model.width,
        channels,
        classes,
        norm=model.norm,
        init_linear=model.init_linear,
        zero_init_residual=model.zero_init_residual,
    )


class Training:
    """One run in memory: network, optimizer, schedule and progress."""

    def __init__(self, config: Config, dataset: Dataset, device: torch.device) -> None:
        self.config, self.device = config, device
        self.splits = {"test": _to(dataset.test, device)}
        if dataset.val is not None:
            self.splits["val"] = _to(dataset.val, device)
        self.train = _to(dataset.train, device)
        self.mean, self.std = (torch.tensor(values, device=device) for values in (dataset.mean, dataset.std))

        torch.manual_seed(config.seed)
        self.network = network_of(config, self.train.images.shape[3], len(dataset.classes)).to(device)
        self.evaluator = Evaluator(self.network, self.mean, self.std, config.precision)
        optim = config.optim
        self.optimizer = optimizer.make(optim, self.network.parameters())
        # Scales the loss in fp16, where small gradients would become zero; otherwise does nothing.
        self.scaler = torch.amp.GradScaler(device.type, enabled=PRECISIONS[config.precision].scaled)
        if self.scaler.is_enabled():
            self.scaler.scale(torch.zeros((), device=device))  # makes its tensors, before any graph is captured
            optimizer.create_state(self.optimizer)
        steps_per_epoch = count_steps(len(self.train.labels), optim.batch_size)
        self.schedule = Schedule.of(optim, steps_per_epoch)
        self.warmup = Warmup.of(optim.warmup, config.depth, steps_per_epoch)
        self.warmup.to(device)
        # Reading a number from a GPU waits for all queued work to finish.
        self.reads_are_free = device.type == "cpu"
        self.step = 0
        self.sums = Sums.zero(device)
        self.history: list[Row] = []
        self.diagnostics: list[Row] = []
        self._clock = time.perf_counter()
        self._inputs = StepInputs.of(len(self.train.labels), device)
        self._graphs: StepGraphs | None = None
        self.begun_with: str | None = None  # the kernels of the checkpoint, if it is from this kind of device
        self.records_smoothed = False  # older runs recorded losses with label smoothing, and continue to do so

    # Chosen when first needed: after the checkpoint is loaded, and never only to evaluate.
    @cached_property
    def kernels(self) -> str:
        """The kernels that compute the training steps, see `kernel_choice`."""
        return kernel_choice.choose(self.config, self.network, self.device, self.begun_with)

    @cached_property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """The network's forward pass in training."""
        return kernel_choice.forward_of(self.kernels, self.network, self.device)

    @property
    def uses_graphs(self) -> bool:
        """Whether each step is a CUDA graph."""
        return self.kernels.startswith("graph")

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.schedule.total_steps

    @property
    def epoch(self) -> int:
        """The epoch of the next step, counted from 0; with the seed, it determines the order of the images."""
        return self.step // self.schedule.steps_per_epoch

    def train_epoch(self, after_step: Callable[[], bool]) -> bool:
        """Trains to the end of the current epoch and adds its row to the history.

        Args:
            after_step: called after each step; training stops if it returns True.

        Returns:
            Whether the epoch was completed.

        Raises:
            Diverged: the loss is not finite.
        """
        draws = self._inputs.take(
            draw_epoch(len(self.train.labels), self.config.seed, self.epoch, self.config.data.augment)
        )
        end = self.schedule.epoch_end(self.step)
        self.network.train()
        self._clock = time.perf_counter()
        while self.step < end:
            factor = self._train_step(draws)
            # Checked at every step if reading the loss is free, once per epoch if it would stall the device.
            if (self.reads_are_free or self.step == end) and not math.isfinite(self.sums.loss.item()):
                raise Diverged(f"the training loss is not finite at step {self.step} (epoch {len(self.history) + 1})")
            if self.step < end and after_step():
                return False
        # As a Python number, not as the GPU's float32 approximation.
        factor = factor if isinstance(factor, float) else 1.0 if factor.item() == 1.0 else WARMUP_FACTOR
        self._end_epoch(self.schedule.lr_at(self.step - 1) * factor)
        return True

    def _count_seconds(self) -> None:
        """Adds the time since the last call to the epoch's time; waits for the device, so that all work is counted."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        before, self._clock = self._clock, time.perf_counter()
        self.sums.seconds += self._clock - before

    def _train_step(self, draws: Draws) -> float | Tensor:
        """Runs one step; returns the warm-up factor of its learning rate."""
        size = self.config.optim.batch_size
        position = self.step % self.schedule.steps_per_epoch * size
        batch = draws.part(slice(position, position + size))
        factor = self.warmup.factor
        if self.uses_graphs:
            self._replay(position, len(batch.permutation), factor)
        else:
            self._set_lr(self.schedule.lr_at(self.step) * factor)
            self._learn(batch)
        self.warmup.advance()
        self.step += 1
        return factor

    def _learn(self, batch: Draws) -> None:
        """Forward pass, backward pass and update on the images of `batch`."""
        images, labels = self.train.images[batch.permutation], self.train.labels[batch.permutation]
        if self.config.data.augment:
            images = crop_and_flip(images, batch.offsets, batch.flips)
        with autocast(self.config.precision, self.device):
            logits = self.forward(normalise(images, self.mean, self.std))
            loss = F.cross_entropy(logits, labels, label_smoothing=self.config.optim.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        # What is recorded can be compared with the test loss and with other recipes.
        if self.config.optim.label_smoothing > 0 and not self.records_smoothed:
            loss = F.cross_entropy(logits.detach().float(), labels)
        wrong = self.sums.add(logits, labels, loss)
        self.warmup.observe(100.0 * wrong / len(labels))

    def _set_lr(self, lr: float | Tensor) -> None:
        """Sets the learning rate of the next step; on a GPU, in a tensor that stays in place, as graphs require."""
        for group in self.optimizer.param_groups:
            if self.device.type == "cpu":
                group["lr"] = lr
            else:
                group["lr"] = self._inputs.lr.copy_(lr) if isinstance(lr, Tensor) else self._inputs.lr.fill_(lr)

    def _replay(self, position: int, size: int, factor: float | Tensor) -> None:
        """Runs one step as a CUDA graph."""
        if self._graphs is None:
            self._graphs = StepGraphs(self._learn_in_place, self._changing(), self.network)
        self._inputs.begin.fill_(position)
        self._inputs.base_lr.fill_(self.schedule.lr_at(self.step) * (factor if isinstance(factor, float) else 1.0))
        images = self.sums.images
        # A step of a warm-up that watches the error needs a graph of its own.
        self._graphs.replay(size, self.warmup.watches_error)
        # Counted on the host: a replay doesn't run the host's code, and a capture runs it several times.
        self.sums.images = images + size

    def _learn_in_place(self, size: int) -> None:
        """A step that reads everything that changes between steps from tensors that stay in place."""
        inputs, factor = self._inputs, self.warmup.factor
        self._set_lr(inputs.base_lr * factor if isinstance(factor, Tensor) else inputs.base_lr)
        self._learn(inputs.draws.at(inputs.begin + inputs.numbers[:size]))

    def _changing(self) -> list[Tensor]:
        """All tensors that a step changes and that outlast it."""
        optimizer.create_state(self.optimizer)
        buffers = [buffer for name, buffer in self.network.named_buffers() if not name.endswith("num_batches_tracked")]
        momenta = [value for state in self.optimizer.state.values() for value in state.values() if value is not None]
        parameters = [parameter.detach() for parameter in self.network.parameters()]
        scaling = [self.scaler._scale, self.scaler._growth_tracker] if self.scaler.is_enabled() else []
        changing = [*parameters, *buffers, *momenta, *scaling, self.sums.loss, self.sums.wrong, self.warmup.error]
        return [*(tensor for tensor in changing if tensor is not None), self._inputs.lr]

    def _end_epoch(self, lr: float) -> None:
        self._count_seconds()
        self._settle()
        train_loss, train_error = self.sums.means()
        row: Row = {
            "epoch": len(self.history) + 1,
            "step": self.step,
            "lr": lr,  # of the epoch's last step
            "train_loss": train_loss,
            "train_error": train_error,
            "train_seconds": self.sums.seconds,
            "images_per_second": self.sums.images / self.sums.seconds,
        }
        # A step's loss shows what earlier updates did to the network; only this shows what the last one did.
        if self.finished and not all(parameter.isfinite().all() for parameter in self.network.parameters()):
            raise Diverged("the weights are not finite after the last step")
        begin = time.perf_counter()
        for name, split in self.splits.items():
            # With a hold-out split, the test set is evaluated only once, at the end.
            if name == "val" or "val" not in self.splits or self.finished:
                row[f"{name}_loss"], row[f"{name}_error"] = self.evaluator.evaluate(split)
        row["test_seconds"] = time.perf_counter() - begin
        self.history.append(rounded(row))
        self.sums.set(Sums.zero(self.device))
        self.diagnose()

    def diagnose(self) -> None:
        """Measures the layers if requested: before training, every `diagnostics.every` epochs, and at the end."""
        epoch, wanted = len(self.history), self.config.diagnostics
        measured = bool(self.diagnostics) and self.diagnostics[-1]["epoch"] == epoch
        due = (epoch % wanted.every == 0 or self.finished) and self.sums.images == 0
        if wanted.enabled and due and not measured:
            images, labels = choose_batch(self.train)
            with random_state.unchanged(self.device):
                rows = measure_layers(self.network, normalise(images, self.mean, self.std), labels)
            self.diagnostics += [{"epoch": epoch, "step": self.step, **row} for row in rows]

    def _settle(self) -> None:
        if self._graphs is not None:
            self._graphs.settle()

    def state(self) -> dict[str, Any]:
        """Everything that `load` needs to continue exactly, at any step of an epoch."""
        if self.sums.images > 0:
            self._count_seconds()
        self._settle()
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "warmup": self.warmup.state(),
            "sums": vars(self.sums),
            "history": self.history,
            "diagnostics": self.diagnostics,
            "random": random_state.capture(self.device),
            "kernels": self.kernels,
            "records_smoothed": self.records_smoothed,
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restores a state returned by `state`.

        Raises:
            RunError: the state belongs to another network or recipe.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            optimizer.adapt(self.optimizer)
            self._graphs = None  # they refer to the old momentum tensors
            self.warmup.load(state["warmup"])
            self.sums.set(Sums(**state["sums"]))
            self.step, self.history = int(state["step"]), list(state["history"])
            # Older checkpoints, from before networks had random layers, have no such state.
            random_state.restore(self.device, state.get("random", {}))
            if self.scaler.is_enabled():
                self.scaler.load_state_dict(state["scaler"])
            self.begun_with = kernel_choice.begun_with(state, self.device)
            self.records_smoothed = bool(state.get("records_smoothed", True))
            # If the checkpoint has none, keep those at initialization, which were just measured.
            self.diagnostics = list(state.get("diagnostics") or self.diagnostics)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise RunError(
                f"the checkpoint doesn't match this run's network: {reason}; delete it to start again"
            ) from error


def _to(split: Split, device: torch.device) -> Split:
    return Split(split.images.to(device), split.labels.to(device))


def final_weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights on the CPU, for final.pt."""
    return {name: value.cpu() for name, value in network.state_dict().items()}
