"""What happens beside the updates: progress, stopping, and the state that a checkpoint keeps for rewards."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from transformers import TrainerCallback

STATE = "autoflow.json"
"""Of a checkpoint: what the judge must know to go on. Written last, so that its presence says that all is there."""


class Watched(Protocol):
    """Who waits for the trainer's thread: `autoflow.training.bridge.Bridge`."""

    @property
    def stopping(self) -> bool:
        """Whether a person asked to stop after the step in hand."""
        ...

    def check(self) -> None:
        """End the thread, by an exception, if nobody waits for it any more."""
        ...

    def tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have `function` called, without waiting."""
        ...


class Following(TrainerCallback):
    """Follows one training run from within its thread."""

    def __init__(
        self, bridge: Watched, on_progress: Callable[[Mapping[str, Any]], None], state: Callable[[], Mapping[str, Any]]
    ) -> None:
        """`on_progress` is called on the event loop with what each step logs; `state` gives what `STATE` keeps."""
        self._bridge = bridge
        self._on_progress = on_progress
        self._state = state
        self.stopped = False
        """Whether a person ended the run before its end."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop where a person asked to, with a checkpoint of what was done."""
        self._bridge.check()
        if self._bridge.stopping:
            self.stopped = control.should_training_stop = control.should_save = True

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End at once where nobody waits any more."""
        self._bridge.check()

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Pass on what was logged."""
        if state.is_world_process_zero and logs:
            self._bridge.tell(self._on_progress, {**logs, "step": state.global_step, "steps": state.max_steps})

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Complete the checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero:
            new = folder / f"{STATE}.new"
            new.write_text(json.dumps(self._state()), encoding="utf-8")
            new.replace(folder / STATE)


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run; `None` where there is none. What a killed save left half is passed over."""
    numbered = [
        (int(path.parent.name.rpartition("-")[2]), path.parent) for path in folder.glob(f"checkpoint-*/{STATE}")
    ]
    return max(numbered)[1] if numbered else None
