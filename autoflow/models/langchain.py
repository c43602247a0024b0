"""`langchain/<module>:<Class>`: any chat model of a LangChain integration package.

`ModelOptions.arguments` are the constructor's arguments, for example
`langchain/langchain_anthropic:ChatAnthropic` with `{"model": "..."}`. Keys come from the
environment, as the package says.
"""

import importlib
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import ValidationError

from autoflow.core.model import Reply, Request
from autoflow.errors import MissingDependencyError, ProviderError, UnknownNameError, UsageError
from autoflow.models.chat import ChatModel, draw_seed
from autoflow.models.options import ModelOptions


class _Foreign(ChatModel):
    """A chat model of which only langchain-core's interface is known: whatever it raises is its provider's fault."""

    async def complete(self, request: Request) -> Reply:
        try:
            return await super().complete(request)
        except ProviderError:
            raise
        except Exception as error:  # boundary: integrations share no error types
            status = _status(error)
            transient = isinstance(error, TimeoutError | ConnectionError) or (
                status is not None and (status in (408, 409, 425, 429) or status >= 500)
            )
            raise ProviderError(
                f"{self.name}: {type(error).__name__}{'' if status is None else f' (status {status})'}",
                transient=transient,
                status=status,
                hint="the original error is in the cause; its text is not shown, since it may hold a key",
            ) from error


def _status(error: Exception) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _open(name: str, options: ModelOptions) -> ChatModel:
    module_name, colon, class_name = name.partition(":")
    if not colon or not module_name or not class_name:
        raise UsageError(
            f"langchain/{name} names no class",
            hint="write langchain/<module>:<Class>, for example langchain/langchain_ollama:ChatOllama",
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        package = module_name.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            package = error.name.partition(".")[0]
        raise MissingDependencyError(
            f"langchain/{name}: there is no module {error.name}",
            hint=f"run: pip install {package.replace('_', '-')}",
        ) from error
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type) or not issubclass(kind, BaseChatModel):
        known = sorted(
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, BaseChatModel) and not key.startswith("_")
        )
        raise UnknownNameError(f"chat model in {module_name}", class_name, known)
    try:
        chat = kind(**dict[str, Any](options.arguments))
    except (ValidationError, TypeError, ValueError) as error:
        fields = ", ".join(".".join(str(part) for part in item["loc"]) for item in _faults(error)) or str(error)[:200]
        raise UsageError(
            f"langchain/{name} cannot be made from the arguments {sorted(options.arguments)}: {fields}",
            hint=f"{class_name} takes: {', '.join(sorted(kind.model_fields))}",
        ) from error
    accepted = set(kind.model_fields) | {field.alias for field in kind.model_fields.values() if field.alias}

    def arguments(request: Request) -> dict[str, Any]:
        # Only what the class declares: integrations differ in what they take, and some fail on what they do not know.
        sampling = request.sampling
        seed = None if sampling.seed is None else draw_seed(sampling.seed, request.sample)
        wanted = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        }
        passed: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None and key in accepted}
        if sampling.stop:
            passed["stop"] = list(sampling.stop)
        return passed

    return _Foreign(chat, f"langchain/{name}", arguments=arguments)


def _faults(error: Exception) -> list[Any]:
    return list(error.errors()) if isinstance(error, ValidationError) else []


PLUGIN = _open
