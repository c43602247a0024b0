"""Slots of a local runtime: conversations find what they left."""

import threading
import time
from contextlib import ExitStack

from autoflow.models.slots import Slots

SYSTEM = "You carry out a workflow. " * 20


def use(slots: Slots, prompt: str, reply: str = "") -> int:
    with slots.slot(prompt, threading.Event()) as lease:
        assert lease is not None
        lease.held = prompt + reply
        return lease.index


def fill(slots: Slots, *prompts: str) -> list[int]:
    """Slots that the prompts, under way at the same time, were served by."""
    with ExitStack() as stack:
        leases = [stack.enter_context(slots.slot(prompt, threading.Event())) for prompt in prompts]
    return [lease.index for lease in leases if lease is not None]


def test_conversation_comes_back_to_its_slot() -> None:
    slots = Slots(3, grace_s=0.0)
    one, two = SYSTEM + "task one " * 20, SYSTEM + "task two " * 20
    first, second, _ = fill(slots, one, two, "other")
    assert use(slots, two + "answer" + "next step") == second
    assert use(slots, one + "answer" + "next step") == first


def test_new_conversation_reuses_the_shared_beginning_and_spares_the_newest() -> None:
    slots = Slots(3, grace_s=0.0)
    first, second, _ = fill(slots, SYSTEM + "a" * 200, SYSTEM + "b" * 200, "other")
    assert use(slots, SYSTEM + "b" * 200 + "more") == second
    assert use(slots, SYSTEM + "c" * 200) == first


def test_slot_just_left_is_kept_for_its_conversation() -> None:
    slots = Slots(1, grace_s=0.2)
    use(slots, SYSTEM + "task one " * 20, "answer")
    order: list[str] = []

    def ask(name: str, prompt: str) -> None:
        use(slots, prompt)
        order.append(name)

    stranger = threading.Thread(target=ask, args=("stranger", SYSTEM + "task two " * 20))
    stranger.start()
    time.sleep(0.05)
    ask("same", SYSTEM + "task one " * 20 + "answer" + "next")
    stranger.join()
    assert order == ["same", "stranger"]


def test_waiting_ends_when_the_caller_gives_up() -> None:
    slots, stop = Slots(1), threading.Event()
    with slots.slot("a", threading.Event()):
        seen: list[object] = []

        def ask() -> None:
            with slots.slot("b", stop) as lease:
                seen.append(lease)

        waiting = threading.Thread(target=ask)
        waiting.start()
        stop.set()
        waiting.join(2)
        assert seen == [None]
    assert use(slots, "c") == 0


def test_slot_is_given_back_after_an_error() -> None:
    slots = Slots(1, grace_s=0.0)
    for _ in range(3):
        try:
            with slots.slot("a", threading.Event()):
                raise ValueError("x")
        except ValueError:
            continue
    assert use(slots, "b") == 0
