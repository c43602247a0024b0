"""Adapters in a running vLLM: loaded and unloaded by name, without a restart.

The server must have been started with `--enable-lora` and `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`, and reads the
adapter from a path of its own machine. Afterwards the adapter is a model there: `openai/<name>` with `--base-url`.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping

from autoflow.core.json import Json
from autoflow.errors import ProviderError, UsageError


def load(base_url: str, name: str, path: str, *, key_env: str | None = None, timeout_s: float = 120.0) -> str:
    """Load the adapter at `path`, as the server sees it, under `name`. Returns what the server says.

    Raises:
        ProviderError: If the server refuses or cannot be reached.
    """
    return _post(base_url, "load_lora_adapter", {"lora_name": name, "lora_path": path}, key_env, timeout_s)


def unload(base_url: str, name: str, *, key_env: str | None = None, timeout_s: float = 120.0) -> str:
    """Remove the adapter of that name. Returns what the server says.

    Raises:
        ProviderError: If the server refuses or cannot be reached.
    """
    return _post(base_url, "unload_lora_adapter", {"lora_name": name}, key_env, timeout_s)


def _post(base_url: str, verb: str, body: Mapping[str, Json], key_env: str | None, timeout_s: float) -> str:
    if not base_url.startswith(("http://", "https://")):
        raise UsageError(f"a server's address begins with http:// or https://, not {base_url!r}")
    address = f"{base_url.rstrip('/').removesuffix('/v1')}/v1/{verb}"
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(key_env or "OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method="POST")  # noqa: S310  checked
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return _said(answer.read())
    except urllib.error.HTTPError as error:
        said = _said(error.read())
        hint = None
        if error.code == 404:
            hint = "start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
        raise ProviderError(
            f"{verb}: the server answered {error.code}: {said or error.reason}",
            transient=error.code >= 500,
            status=error.code,
            hint=hint,
        ) from error
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise ProviderError(f"{verb}: cannot reach {base_url}: {reason}", transient=True) from error


def _said(data: bytes) -> str:
    """The message in a reply: JSON with one, else its text."""
    text = data.decode("utf-8", errors="replace").strip()
    try:
        value = json.loads(text)
    except ValueError:
        return text[:300]
    if isinstance(value, dict):
        inner = value.get("error", value)
        text = str(inner.get("message", text) if isinstance(inner, dict) else inner)
    elif isinstance(value, str):
        text = value
    return text[:300]
