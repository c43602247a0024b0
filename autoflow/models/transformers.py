"""`transformers/<path or hub id>[@adapter]`: a model in this process through transformers, with or without an adapter.

Calls that wait at the same time are generated in one batch. Each draws from a source of its own, so that a seed gives
the same text whatever else is in the batch. Labels are chosen by their exact log-probabilities; nothing else is
enforced while it samples. `transformers/smollm2-135m` is the embedded model's checkpoint.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import PrivateAttr

from autoflow.core.model import Feature, Request, Usage
from autoflow.errors import MissingDependencyError, ProviderError, ReplyError, UsageError
from autoflow.models import checkpoint
from autoflow.models.chat import (
    Answer,
    ChatModel,
    Turn,
    draw_label,
    renormalised,
    result_of,
    sampling_arguments,
    turns_of,
)
from autoflow.models.options import ModelOptions
from autoflow.models.provider import Provider, free

FEATURES: frozenset[Feature] = frozenset({"labels", "logprobs"})
DEFAULT_MAX_TOKENS = 512
DEFAULT_SLOTS = 16
"""Most calls in one batch."""

_GATHER_S = 0.005
# Calls of one workflow step arrive within milliseconds of each other: so long a batch waits for them.


@dataclass(slots=True)
class _Job:
    """One call on its way through the worker."""

    turns: Sequence[Mapping[str, str]]
    arguments: Mapping[str, Any]
    stop: threading.Event
    answer: "Future[Answer]" = field(default_factory=Future)


class Runtime:
    """One loaded model with the thread that it runs on. Safe to call from any thread."""

    def __init__(self, place: str, adapter: str | None, options: ModelOptions) -> None:
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise MissingDependencyError(
                f"the package {error.name} is not installed", hint="install torch, then: pip install 'autoflow[train]'"
            ) from error
        checkpoint.without_bars()
        self.slots = options.slots or DEFAULT_SLOTS
        self._torch = torch
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if self._device == "cuda" else torch.float32
        local = {"local_files_only": options.offline}
        self._tokenizer = _opened(AutoTokenizer, place, "model", **local)
        if not self._tokenizer.chat_template:
            raise UsageError(f"the tokenizer of {place} has no chat template", hint="take an instruction-tuned model")
        model = _opened(AutoModelForCausalLM, place, "model", dtype=dtype, **local)
        if adapter is not None:
            from peft import PeftModel

            model = _opened(PeftModel, adapter, "adapter", model, **local)
        self._model = model.to(self._device).eval()
        self._ends = _ends(self._tokenizer, model)
        self._context = options.context_tokens or getattr(model.config, "max_position_embeddings", None)
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="autoflow-transformers", daemon=True)
        self._thread.start()

    def ask(
        self, turns: Sequence[Mapping[str, str]], arguments: Mapping[str, Any], stop: threading.Event
    ) -> "Future[Answer]":
        """The answer, once it is there; a call whose `stop` is set ends early."""
        job = _Job(turns, arguments, stop)
        if not self._thread.is_alive():
            job.answer.set_exception(_closed())
            return job.answer
        self._waiting.put(job)
        return job.answer

    def close(self) -> None:
        """Finish what is under way, refuse what waits, and free the memory. Blocks until then."""
        self._waiting.put(None)
        self._thread.join()
        self._model = None

    # -- on the worker's thread

    def _work(self) -> None:
        while True:
            jobs = self._gathered()
            live = [job for job in jobs if job is not None and job.answer.set_running_or_notify_cancel()]
            for asked in live:
                if asked.arguments.get("labels"):
                    self._settle([asked], self._labelled)
            drawn = [asked for asked in live if not asked.arguments.get("labels")]
            if drawn:
                self._settle(drawn, self._generated)
            if None in jobs:
                break
        while not self._waiting.empty():
            if (late := self._waiting.get()) is not None:
                late.answer.set_exception(_closed())

    def _gathered(self) -> list[_Job | None]:
        jobs = [self._waiting.get()]
        while jobs[-1] is not None and len(jobs) < self.slots:
            try:
                jobs.append(self._waiting.get(timeout=_GATHER_S))
            except queue.Empty:
                break
        return jobs

    def _settle(self, jobs: Sequence[_Job], work: Callable[[Sequence[_Job]], Sequence[Answer | Exception]]) -> None:
        answers: Sequence[Answer | Exception]
        try:
            with self._torch.inference_mode():
                answers = work(jobs)
        except Exception as error:  # noqa: BLE001  boundary: it must reach who asked, not end the thread
            reason = str(error).strip().split("\n")[0]
            answers = [ProviderError(f"transformers: {type(error).__name__}: {reason}", transient=False)] * len(jobs)
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, Exception):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)

    def _prompt(self, job: _Job) -> list[int]:
        text = self._tokenizer.apply_chat_template(list(job.turns), tokenize=False, add_generation_prompt=True)
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def _too_long(self, tokens: int) -> ReplyError | None:
        if self._context is None or tokens < self._context:
            return None
        # Not the provider's fault: a flow that lets its prompt grow without bound has failed.
        return ReplyError(
            f"the prompt has {tokens} tokens; the model's context is {self._context}",
            text="",
            hint="shorten what the step reads, or take a model with a larger context",
        )

    def _generated(self, jobs: Sequence[_Job]) -> list[Answer | Exception]:
        prompts = [self._prompt(job) for job in jobs]
        refused = {at: error for at, prompt in enumerate(prompts) if (error := self._too_long(len(prompt)))}
        fitting = [at for at in range(len(jobs)) if at not in refused]
        rows = [_Row(self._torch, prompts[at], jobs[at]) for at in fitting]
        if rows:
            self._decode(rows)
        done = iter(rows)
        return [refused[at] if at in refused else next(done).answer(self._tokenizer) for at in range(len(jobs))]

    def _decode(self, rows: Sequence["_Row"]) -> None:
        torch = self._torch
        width = max(len(row.prompt) for row in rows)
        pad = self._ends[0]
        ids = torch.tensor([[pad] * (width - len(row.prompt)) + row.prompt for row in rows], device=self._device)
        mask = torch.tensor(
            [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows], device=self._device
        )
        places = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = None
        while True:
            out = self._model(
                input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True,
                logits_to_keep=1,
            )  # fmt: skip
            cache = out.past_key_values
            logits = out.logits[:, -1].float().cpu()
            drawn = [row.take(logits[at], self._ends, self._tokenizer, self._context) for at, row in enumerate(rows)]
            if all(row.finish for row in rows):
                return
            ids = torch.tensor([[token] for token in drawn], device=self._device)
            mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
            places = places[:, -1:] + 1

    def _labelled(self, jobs: Sequence[_Job]) -> list[Answer | Exception]:
        """Choose by the probability that the reply is exactly each label: that of its tokens and the turn's end."""
        (job,) = jobs
        torch = self._torch
        labels: Sequence[str] = job.arguments["labels"]
        prompt = self._prompt(job)
        if error := self._too_long(len(prompt)):
            return [error]
        forced = [self._tokenizer(label, add_special_tokens=False)["input_ids"] + [self._ends[0]] for label in labels]
        width = max(map(len, forced))
        pad = self._ends[0]
        ids = torch.tensor([prompt + tokens + [pad] * (width - len(tokens)) for tokens in forced], device=self._device)
        # Causal: what pads a row to the right changes nothing before it.
        logits = self._model(input_ids=ids, use_cache=False, logits_to_keep=width + 1).logits.float().cpu()
        scores = {}
        for at, (label, tokens) in enumerate(zip(labels, forced, strict=True)):
            each = torch.log_softmax(logits[at, : len(tokens)].double(), dim=-1)
            scores[label] = float(each[range(len(tokens)), tokens].sum())
        logprobs = renormalised(scores)
        chosen = draw_label(logprobs, job.arguments["temperature"], job.arguments.get("seed"))
        usage = Usage(len(prompt), sum(map(len, forced)))
        return [Answer(chosen, usage, {"finish_reason": "stop", "label_logprobs": logprobs})]


def _closed() -> ProviderError:
    return ProviderError("the model was closed during the call", transient=False)


class _Row:
    """One reply while it is drawn."""

    def __init__(self, torch: Any, prompt: list[int], job: _Job) -> None:
        self.prompt = prompt
        self.finish = ""
        self._torch = torch
        self._job = job
        self._tokens: list[int] = []
        self._temperature: float = job.arguments["temperature"]
        self._top_p: float = job.arguments.get("top_p") or 1.0
        self._most: int = job.arguments.get("max_tokens") or DEFAULT_MAX_TOKENS
        self._stops: Sequence[str] = job.arguments.get("stop") or ()
        self._rng = torch.Generator()
        if (seed := job.arguments.get("seed")) is None:
            self._rng.seed()
        else:
            self._rng.manual_seed(seed)

    def take(self, logits: Any, ends: Sequence[int], tokenizer: Any, context: int | None) -> int:
        """Draw the next token and see whether the reply ends; a finished row goes on with padding."""
        if self.finish:
            return ends[0]
        token = self._draw(logits)
        if token in ends:
            self.finish = "stop"
            return token
        self._tokens.append(token)
        if self._stops and any(stop in self._text(tokenizer) for stop in self._stops):
            self.finish = "stop"
        elif (
            len(self._tokens) >= self._most
            or self._job.stop.is_set()
            or (context is not None and len(self.prompt) + len(self._tokens) >= context)
        ):
            self.finish = "length"
        return token

    def _draw(self, logits: Any) -> int:
        torch = self._torch
        if self._temperature <= 0:
            return int(logits.argmax())
        chances = torch.softmax(logits / self._temperature, dim=-1)
        if self._top_p < 1:
            ordered, places = chances.sort(descending=True)
            # The smallest set that reaches top_p: a token stays while those before it do not reach it.
            ordered[ordered.cumsum(-1) - ordered >= self._top_p] = 0
            chances = torch.zeros_like(chances).scatter(0, places, ordered)
        return int(torch.multinomial(chances, 1, generator=self._rng))

    def _text(self, tokenizer: Any) -> str:
        text: str = tokenizer.decode(self._tokens, skip_special_tokens=True)
        return text

    def answer(self, tokenizer: Any) -> Answer:
        """The reply, cut before what stopped it."""
        text = self._text(tokenizer)
        for stop in self._stops:
            text = text.partition(stop)[0]
        usage = Usage(len(self.prompt), len(self._tokens) + (self.finish == "stop"))
        return Answer(text, usage, {"finish_reason": self.finish})


def _ends(tokenizer: Any, model: Any) -> list[int]:
    """The tokens that end a turn, the tokenizer's own first."""
    stated = model.generation_config.eos_token_id
    more = [] if stated is None else list(stated) if isinstance(stated, list | tuple) else [stated]
    found = [token for token in (tokenizer.eos_token_id, *more) if token is not None]
    if not found:
        raise UsageError(f"the tokenizer of {tokenizer.name_or_path} has no token that ends a turn")
    return list(dict.fromkeys(found))


def _opened(kind: Any, name: str, what: str, *arguments: Any, **options: Any) -> Any:
    # A folder is never looked for on the hub, nor a hub name taken for a folder that is missing.
    place = Path(name).expanduser()
    if name.startswith((".", "/", "~")) and not place.is_dir():
        raise UsageError(f"there is no folder {name}", hint=f"name the folder of the {what}, or a name on the hub")
    try:
        return kind.from_pretrained(*arguments, str(place) if place.is_dir() else name, **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise MissingDependencyError(
            f"the {what} {name} cannot be loaded: {reason}", hint="name a folder of weights, or a model on the hub"
        ) from error


class TransformersChat(BaseChatModel):
    """A langchain-core chat model over a `Runtime`.

    Besides `stop`, calls take `temperature`, `top_p`, `max_tokens`, `seed`, and `labels`, of which the reply is one.
    """

    _runtime: Runtime = PrivateAttr()

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime

    @property
    def _llm_type(self) -> str:
        return "autoflow-transformers"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return result_of(self._runtime.ask(turns_of(messages), _settled(kwargs, stop), threading.Event()).result())

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return result_of(await self.ask(turns_of(messages), stop=stop, **kwargs))

    async def ask(self, turns: list[Turn], *, stop: list[str] | None = None, **arguments: Any) -> Answer:
        """One call.

        Raises:
            ReplyError: If the prompt does not fit in the context.
            ProviderError: If the library fails or the model is closed.
        """
        cancelled = threading.Event()
        try:
            return await asyncio.wrap_future(self._runtime.ask(turns, _settled(arguments, stop), cancelled))
        finally:
            cancelled.set()


def _settled(kwargs: Mapping[str, Any], stop: list[str] | None) -> dict[str, Any]:
    return {"temperature": 0.0, **kwargs, **({"stop": stop} if stop else {})}


def _arguments(request: Request) -> dict[str, Any]:
    return sampling_arguments(request) | ({"labels": list(request.labels)} if request.labels else {})


def _open(name: str, options: ModelOptions) -> ChatModel:
    place, at, adapter = name.partition("@")
    if place == checkpoint.NAME:
        place = str(checkpoint.ensure_checkpoint(options.progress, offline=options.offline))
    runtime = Runtime(place, adapter if at else None, options)

    async def close() -> None:
        await asyncio.to_thread(runtime.close)

    chat = TransformersChat(runtime)
    return ChatModel(
        chat,
        f"transformers/{name}",
        FEATURES,
        arguments=_arguments,
        price=lambda usage: 0.0,
        close=close,
        concurrency=4 * runtime.slots,
        direct=chat.ask,
    )


PLUGIN = Provider(_open, free)
