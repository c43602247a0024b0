"""Made-up tasks for `loopback_server`: each has a number in its text, three calls, and the number as its answer.

It imports nothing of autoflow, so that programs without it can be measured on the same prompts.
"""

from collections.abc import Iterator

STEPS = (
    "Read the problem and name the quantity that is asked for, with its unit, in one short line.",
    "Work out the quantity step by step, using only what the problem states and what was found before.",
    "State the final number alone.",
)
SYSTEM = "You carry out one step of a workflow at a time. Answer the step's instruction, and nothing else." * 3
MAX_TOKENS = 64


def text_of(number: int) -> str:
    """A problem of ordinary length, with its number in it."""
    return (
        f"Problem #{number}#. A library lends {number % 37 + 3} books a day on weekdays and twice as many on Saturdays;"
        " it is closed on Sundays. Every fourth book comes back late and costs its reader 40 cents a day, for three"
        " days on average. How much does the library take in fees in a month of four weeks, in whole euros?"
    )


def messages_of(number: int) -> Iterator[list[dict[str, str]]]:
    """The prompts of a task's calls, as a program without autoflow would write them."""
    turns = [{"role": "system", "content": SYSTEM}]
    for index, step in enumerate(STEPS):
        turns.append({"role": "user", "content": step if index else f"{text_of(number)}\n\n{step}"})
        yield list(turns)
        turns.append({"role": "assistant", "content": str(number)})
