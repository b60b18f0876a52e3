"""The training loop: accelerate runs it on a CPU, one GPU or several; a killed training goes on where it was.

In the output folder: the best checkpoint so far, `log/` for TensorBoard, and while it is unfinished `state/`
with everything that going on needs.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pipeline.errors import TrainingToolsMissing
from pipeline.training.batches import Order, Row
from pipeline.training.recipe import Training
from pipeline.training.task import Step, Task

try:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
    from torch.utils.tensorboard import SummaryWriter
except ImportError as e:
    raise TrainingToolsMissing(
        "Training needs a few packages more: pip install -r requirements-train.txt"
    ) from e

log = logging.getLogger(__name__)

_LOG_EVERY = 10  # steps
_STATE, _RUN = "state", "run.json"
_FOLDERS = ("tokenizer", "passages-*")  # of a checkpoint


@dataclass
class Progress:
    """Where a training is; saved with its state."""

    epoch: int = 0
    batch: int = 0  # of the epoch, the next one
    step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = 0  # counted from 1
    stale: int = 0  # epochs since
    dev: dict[str, float] = field(default_factory=dict)  # measures of the best
    finished: bool = False

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class Trainer:
    """One training of one task. `run` says what the training is, so that another is not gone on with."""

    def __init__(
        self, task: Task, training: Training, out: Path, run: dict[str, Any], cpu: bool = False
    ) -> None:
        self.task, self.training, self.out, self.run = task, training, out, run
        self.accelerator = _accelerator(training.precision, cpu)
        self.processes = self.accelerator.num_processes
        self.order = Order(
            task.sets,
            run.get("weights", [1.0] * len(task.sets)),
            task.lengths,
            task.others,
            training.batch,
            run.get("negatives", 0),
            training.seed,
        )
        self.progress = Progress()
        torch.manual_seed(training.seed)  # of dropout, whatever the building of the module drew
        optimizer = torch.optim.AdamW(_groups(task.module, training), lr=training.lr, fused=True)
        for group in optimizer.param_groups:
            group["highest"] = group["lr"]
        self.step, self.optimizer = self.accelerator.prepare(Step(task.module), optimizer)
        self.accelerator.register_for_checkpointing(self.progress)
        self._terms: list[dict[str, float]] = []
        self._dev_seconds = 0.0
        self._saved = time.monotonic()

    def fit(self, resume: bool = False) -> Progress:
        """Trains until it is done, and says how it went. ValueError where a state is in the way."""
        self._begin(resume)
        self._began = time.monotonic() - self.progress.seconds
        with self._shown() as (bar, writer):
            while not self.progress.finished:
                self._epoch(bar, writer)
                self._judge(writer)
                bar.set_postfix({self.task.measure: f"{self.progress.best:.4f}"})
                if not self.progress.finished:
                    self._save()
        if self.accelerator.is_main_process:
            shutil.rmtree(self.out / _STATE, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        return self.progress

    @property
    def batches(self) -> int:
        """Of one epoch, for this process."""
        return self.order.batches(self.processes)

    def _epoch(self, bar: Any, writer: Any) -> None:
        now = self.progress
        batches = self.order.epoch(now.epoch, self.accelerator.process_index, self.processes)
        self.step.train()
        every = self.training.accumulate
        for number in range(now.batch, len(batches)):
            last = (number + 1) % every == 0 or number + 1 == len(batches)
            self._learn(batches[number], last)
            now.batch, now.seconds = number + 1, time.monotonic() - self._began
            if last:
                now.step += 1
                if now.step % _LOG_EVERY == 0:
                    self._log(writer)
                if self._agree(time.monotonic() - self._saved >= self.training.save_every):
                    self._save()
            bar.update()
            if self._out_of_time():
                break
        self._log(writer)

    def _learn(self, rows: list[Row], last: bool) -> None:
        """One batch; a step of the optimizer after the last that are added up."""
        batch = self.task.batch(rows)
        with nullcontext() if last else self.accelerator.no_sync(self.step):
            loss, terms = self.step(batch)
            self.accelerator.backward(loss / self.training.accumulate)
        self._terms.append({"loss": float(loss.detach())} | terms)
        if not last:
            return
        share = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["highest"]
        self.accelerator.clip_grad_norm_(self.step.parameters(), self.training.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _rate(self) -> float:
        """Share of the highest learning rate at this step: up during the warm-up, then down to nothing."""
        t, now = self.training, self.progress
        total = t.epochs * math.ceil(self.batches / t.accumulate)
        done = max((now.step + 0.5) / total, now.seconds / t.seconds if t.seconds else 0.0)
        if done < t.warmup:
            return done / t.warmup
        rest = max(0.0, (1 - done) / (1 - t.warmup)) if t.warmup < 1 else 1.0
        return {"linear": rest, "cosine": 0.5 - 0.5 * math.cos(math.pi * rest), "constant": 1.0}[t.schedule]

    def _out_of_time(self) -> bool:
        """The dev measure after the last step counts too."""
        limit = self.training.seconds
        if not limit:
            return False
        over = self.progress.seconds + self._dev_seconds >= limit
        return bool(self._agree(over))

    def _agree(self, over: bool) -> bool:
        """All processes stop, or save, when one does: each waits for the others in it."""
        if self.processes == 1:
            return over
        flag = torch.tensor([float(over)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item())

    def _of_the_first(self, found: dict[str, float]) -> dict[str, float]:
        """What the first process measured: GPUs differ in the last digits, and all must decide alike."""
        return broadcast_object_list([found])[0] if self.processes > 1 else found

    def _judge(self, writer: Any) -> None:
        """Measures on the dev questions, keeps the best weights, and decides whether to go on."""
        now, begin = self.progress, time.monotonic()
        out_of_time = self._out_of_time()
        found = self._of_the_first(self.task.dev())
        self._dev_seconds = time.monotonic() - begin
        now.epoch, now.batch = now.epoch + 1, 0
        for name, value in found.items():
            writer.add_scalar(f"dev/{name}", value, now.step)
        score = found[self.task.measure]
        if score > now.best or self.training.keep == "last":
            now.best, now.best_epoch, now.stale, now.dev = score, now.epoch, 0, found
            if self.accelerator.is_main_process:
                keep(self.task, self.out)
        else:
            now.stale += 1
        now.seconds = time.monotonic() - self._began
        log.info("epoch %d: dev %s %.4f", now.epoch, self.task.measure, score)
        now.finished = out_of_time or now.epoch >= self.training.epochs or now.stale >= self.training.patience

    def _log(self, writer: Any) -> None:
        """Means of the loss and its terms since the last time."""
        if not self._terms:
            return
        for name in dict.fromkeys(name for terms in self._terms for name in terms):
            values = [terms[name] for terms in self._terms if name in terms]
            writer.add_scalar(f"train/{name}", sum(values) / len(values), self.progress.step)
        writer.add_scalar("train/lr", self.optimizer.param_groups[0]["lr"], self.progress.step)
        self._terms = []

    # State

    def _begin(self, resume: bool) -> None:
        state = state_of(self.out)
        if state is None:
            self.out.mkdir(parents=True, exist_ok=True)
            if self.accelerator.is_main_process:
                shutil.rmtree(self.out / "log", ignore_errors=True)  # of another training
            return
        if not resume:
            raise ValueError(
                f"'{self.out}' holds an unfinished training: --resume goes on with it; to start over, delete "
                f"'{state}'"
            )
        before = json.loads((state / _RUN).read_text(encoding="utf-8"))
        if before != json.loads(json.dumps(self.run)):
            differing = sorted(k for k in {*before, *self.run} if before.get(k) != self.run.get(k))
            raise ValueError(
                f"the training in '{self.out}' differs in {', '.join(differing)}: it cannot go on"
            )
        self.accelerator.load_state(str(state))

    def _save(self) -> None:
        """The state as it is, in place of the one before in one move."""
        new, old, state = (self.out / f"{_STATE}{end}" for end in (".new", ".old", ""))
        main = self.accelerator.is_main_process
        if main:
            shutil.rmtree(new, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(new))
        self.accelerator.wait_for_everyone()
        if main:
            (new / _RUN).write_text(json.dumps(self.run), encoding="utf-8")
            shutil.rmtree(old, ignore_errors=True)
            if state.exists():
                state.rename(old)
            new.rename(state)
            shutil.rmtree(old, ignore_errors=True)
        self._saved = time.monotonic()

    @contextmanager
    def _shown(self) -> Iterator[tuple[Any, Any]]:
        """The progress bar and the TensorBoard writer, of the first process only."""
        main, now = self.accelerator.is_main_process, self.progress
        total = self.training.epochs * self.batches
        at = now.epoch * self.batches + now.batch
        bar = tqdm(
            total=total,
            initial=at,
            desc=str(self.run.get("method", "")),
            disable=None if main else True,
            leave=False,
        )
        writer = (
            SummaryWriter(str(self.out / "log"), purge_step=now.step + 1 if now.step else None)
            if main
            else _Mute()
        )
        try:
            yield bar, writer
        finally:
            bar.close()
            writer.close()


class _Mute:
    """In place of a TensorBoard writer in every process but the first."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        pass

    def close(self) -> None:
        pass


def keep(task: Task, out: Path) -> None:
    """The checkpoint in `out`, each file in place of the one before in one move. Folders that the one before
    had and this has not go: DPR's passage encoder has another name each time."""
    new = out / ".saving"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    task.save(new)
    names = {path.name for path in new.iterdir()}
    for path in list(new.iterdir()):
        if path.is_dir():
            shutil.rmtree(out / path.name, ignore_errors=True)
        path.replace(out / path.name)
    new.rmdir()
    for old in (path for pattern in _FOLDERS for path in out.glob(pattern) if path.name not in names):
        shutil.rmtree(old, ignore_errors=True)


def state_of(out: Path) -> Path | None:
    """The last whole state: a kill between two moves leaves it under its other name."""
    for end in ("", ".old"):
        if (out / f"{_STATE}{end}" / _RUN).is_file():
            return out / f"{_STATE}{end}"
    return None


def _accelerator(precision: str, cpu: bool) -> Accelerator:
    AcceleratorState._reset_state()  # it is a singleton, and another training may have had another precision
    if precision == "auto":
        gpu = torch.cuda.is_available() and not cpu
        precision = ("bf16" if torch.cuda.is_bf16_supported() else "fp16") if gpu else "no"
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # some terms are off in ablations
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[unused])


def _groups(module: Any, training: Training) -> list[dict[str, Any]]:
    """Parameters by learning rate and decay: biases and norms are not decayed."""
    groups: dict[tuple[bool, bool], list[Any]] = {}
    for name, weight in module.named_parameters():
        groups.setdefault((name.startswith("reader.encoder."), weight.dim() > 1), []).append(weight)
    return [
        {
            "params": weights,
            "lr": (training.encoder_lr or training.lr) if encoder else training.lr,
            "weight_decay": training.weight_decay if decays else 0.0,
        }
        for (encoder, decays), weights in groups.items()
    ]
