"""`sft`: learns from demonstrations, each a prompt and the workflow to write, by TRL's SFT trainer.

A data set is a folder or a JSONL file whose rows have `prompt`, a list of messages, and `completion`, a list of the one
message to learn; other columns are left alone. The loss is on the completion alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoflow.core.json import digest
from autoflow.errors import DataError

COLUMNS = ("prompt", "completion")


def load(places: Sequence[str]) -> Any:
    """The rows of all data sets, in order, as a `datasets.Dataset` of `COLUMNS`.

    Raises:
        DataError: If one is not there or has not these columns.
    """
    from datasets import concatenate_datasets

    return concatenate_datasets([_load(Path(place).expanduser()) for place in places])


def _load(place: Path) -> Any:
    from datasets import Dataset, disable_progress_bars, load_dataset, load_from_disk

    disable_progress_bars()
    if not place.exists():
        raise DataError(f"{place}: the data is not there")
    try:
        if place.is_file():
            found = load_dataset("json", data_files=str(place), split="train")
        elif (place / "state.json").is_file():
            found = load_from_disk(str(place))
        else:
            found = load_dataset(str(place), split="train")
    except Exception as error:  # boundary: the library's errors have no common base
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{place}: cannot be read as a data set: {type(error).__name__}: {reason}") from error
    assert isinstance(found, Dataset)  # noqa: S101  one split was asked for
    lacking = [name for name in COLUMNS if name not in found.column_names]
    if lacking:
        raise DataError(f"{place}: has no column {lacking[0]!r}; its columns are: {', '.join(found.column_names)}")
    if not len(found):
        raise DataError(f"{place}: has no rows")
    return found.select_columns(list(COLUMNS))


def fingerprint(rows: Any) -> str:
    """Hash of the rows, in order."""
    return digest([digest(dict(row)) for row in rows])


def check_lengths(rows: Any, tokenizer: Any, max_length: int | None) -> None:
    """Make sure that nothing is cut off: a workflow without its end would be learned as a whole one.

    Raises:
        DataError: If a row is longer than `max_length` tokens.
    """
    if max_length is None:
        return
    texts = tokenizer.apply_chat_template([[*row["prompt"], *row["completion"]] for row in rows], tokenize=False)
    lengths = [len(tokens) for tokens in tokenizer(texts, add_special_tokens=False)["input_ids"]]
    longer = [length for length in lengths if length > max_length]
    if longer:
        raise DataError(
            f"{len(longer)} of {len(lengths)} examples are longer than {max_length} tokens, the longest {max(longer)}",
            hint=f"trainer: {{max_length: {max(longer)}}}",
        )
