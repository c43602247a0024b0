"""What `reinforce` and `grpo` share: each round is one update of the generator's weights, by the scores of the round
before, and k new workflows drawn from the updated generator.

What a round drew stands in its trials, tokens included. A resumed run gives the trainer the recorded rounds again,
without sampling or scoring anything, and so comes to the weights that it had.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from autoflow.core.json import Json
from autoflow.core.strategy import Proposal, Situation, Trial
from autoflow.errors import UsageError
from autoflow.generator.draft import Form

if TYPE_CHECKING:
    from autoflow.training.assignments import Assignment
    from autoflow.training.config import TrainConfig
    from autoflow.training.paused import PausedTrainer, Step

PROVIDER = "transformers/"


@dataclass(slots=True)
class OnPolicy:
    """The options, as on the command line."""

    method: ClassVar[Literal["reinforce", "grpo"]]
    splits: ClassVar[tuple[str, ...]] = ("train", "validation")

    rounds: int = 30
    """Updates."""

    candidates: int = 8
    """Workflows drawn for each: k."""

    learning_rate: float = 1e-5
    beta: float = 0.05
    """Weight of the divergence from the generator as it was."""

    rank: int = 16
    """Of the adapter that is trained."""

    max_tokens: int = 256
    """Length of a draft."""

    max_steps: int = 6
    max_instruction_chars: int = 100
    examples: int = 2
    """Train tasks shown."""

    penalty: float = 0.1
    """Taken off for a text that is no workflow."""

    form: str = "outline"
    """How the generator writes: outline, json or yaml."""

    save: str | None = None
    """Folder for the trained adapter; `None` keeps the workflows alone."""

    _live: "PausedTrainer | None" = field(default=None, init=False, repr=False)

    async def drawn(self, situation: Situation) -> Sequence[Proposal]:
        """The next round's proposals; none after the last update.

        Raises:
            UsageError: If the generator's weights cannot be trained.
            MissingDependencyError: Without the extra `train`.
        """
        from autoflow.training import base
        from autoflow.training.judge import read

        base.require()
        assignment = self._assignment(situation)
        steps = [self._step(situation.trials, number) for number in range(1, situation.round)]
        trainer = self._caught_up(situation, assignment, steps)
        if situation.round > self.rounds:
            await trainer.finish()
            self._live = None
            return ()
        self._live = trainer
        samples = await trainer.draw(situation.rng.randrange(2**31))
        proposals = []
        for sampled in samples:
            found = await read(sampled, assignment)
            notes: dict[str, Json] = {"tokens": list(sampled.tokens)}
            reason = f"drawn after {situation.round - 1} updates"
            proposals.append(Proposal(found.workflow, sampled.text, reason, errors=found.errors, notes=notes))
        return proposals

    def _caught_up(self, situation: Situation, assignment: "Assignment", steps: Sequence["Step"]) -> "PausedTrainer":
        """The trainer after these steps: the one at hand, if it awaits the last of them, else a new one."""
        from autoflow.training.paused import PausedTrainer

        live = self._live
        if live is not None and steps and live.steps == len(steps) - 1 and live.waiting == steps[-1].tokens:
            live.earn(steps[-1].rewards)
            return live
        save = None if self.save is None else Path(self.save)
        return PausedTrainer(self._config(situation), assignment, steps, save)

    def _step(self, trials: Sequence[Trial], number: int) -> "Step":
        from autoflow.training.paused import Step

        own = [trial for trial in trials if trial.round == number]
        notes = [cast("Mapping[str, Any]", trial.proposal.notes) for trial in own]
        return Step(tuple(tuple(item["tokens"]) for item in notes), tuple(self._reward(trial) for trial in own))

    def _reward(self, trial: Trial) -> float | None:
        """The mean train score; `None`, which skips the sample, where a task has none."""
        if trial.proposal.workflow is None:
            return -self.penalty
        return None if trial.train is None or trial.train.unscored else trial.train.mean

    def _assignment(self, situation: Situation) -> "Assignment":
        from autoflow.training.assignments import Shape, assignments

        benchmark = situation.benchmark
        shape = Shape(
            examples=self.examples, max_steps=self.max_steps, max_instruction_chars=self.max_instruction_chars
        )
        form = cast("Form", self.form)
        (found,) = assignments(benchmark, benchmark.train, scope="benchmark", form=form, shape=shape)
        return found

    def _config(self, situation: Situation) -> "TrainConfig":
        from autoflow.training.config import TrainConfig

        name = situation.generator.name
        if not name.startswith(PROVIDER):
            raise UsageError(
                f"{self.method} trains its generator's weights, and {name} does not give them",
                hint=f"--generator {PROVIDER}FOLDER, or {PROVIDER}FOLDER@ADAPTER",
            )
        model, _, adapter = name.removeprefix(PROVIDER).partition("@")
        return TrainConfig.model_validate(
            {
                "method": self.method,
                "model": model,
                "adapter": adapter or None,
                "lora": {"rank": self.rank, "alpha": 2 * self.rank},
                "form": self.form,
                "tasks": {"benchmarks": [situation.benchmark.name], "scope": "benchmark"},
                "trainer": {
                    "max_steps": self.rounds,
                    "num_generations": self.candidates,
                    "per_device_train_batch_size": self.candidates,
                    "learning_rate": self.learning_rate,
                    "beta": self.beta,
                    "max_completion_length": self.max_tokens,
                    "save_strategy": "no",
                },
            }
        )
