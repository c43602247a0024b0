"""HotpotQA's rows as tasks. What benchmark.yaml cannot say."""

import hashlib
from collections.abc import Mapping
from typing import Any

from autoflow.core.task import Task


def task(row: Mapping[str, Any], index: int, file: str) -> Task:
    """A question after its ten paragraphs (the distractor setting). The id is a hash of the question's letters and
    digits: four rows of AFlow's file have lost HotpotQA's own."""
    context = row["context"]
    # The published JSON has [title, sentences] pairs, the hub two parallel lists.
    pairs = zip(context["title"], context["sentences"], strict=True) if isinstance(context, Mapping) else context
    documents = [{"title": title, "text": "".join(sentences).strip()} for title, sentences in pairs]
    paragraphs = "\n\n".join(f"{document['title']}: {document['text']}" for document in documents)
    letters = "".join(character for character in row["question"] if character.isalnum())
    return Task(
        id="h" + hashlib.sha256(letters.encode()).hexdigest()[:10],
        text=f"{paragraphs}\n\nQuestion: {row['question']}",
        # For steps that search them; they stand in the text too.
        context={"documents": documents},
        reference={"answer": row["answer"]},
        category=row["type"],
    )
