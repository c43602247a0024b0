"""20,000 damaged files: each is read or refused with `WorkflowError`, and nothing grows."""

import random
import resource
import sys
import tracemalloc

import pytest

from autoflow.core.workflow import Workflow
from autoflow.errors import WorkflowError
from autoflow.language.document import parse
from autoflow.language.dump import dump
from autoflow.language.lint import lint

SEEDS = [
    b"""\
autoflow: 1
name: plan
description: "Plan a chain."
inputs: [image, text]
steps:
  - name: draft
    type: process
    operator: ensemble
    parameters: {samples: 3, on: true, none: ~}
    instruction: |
      Write a list for $(task).
        Indented.
    next: check
  - name: check   # comment
    type: decision
    instruction: >-
      Is it
      right?
    branches: {yes: done, "no": draft}
    max_visits: 3
    otherwise: done
    reads: [draft]
  - name: done
    type: terminal
    for_each: draft
    output: &o {type: array, items: {type: string}}
    timeout_s: 1.5e1
""",
    b"autoflow: 1\nname: x\nsteps: [{name: a, type: process, instruction: 'go', next: b}, {name: b, type: terminal}]\n",
    b"%YAML 1.2\n---\nautoflow: 1\nname: \xc3\xbc\xe6\x97\xa5\xf0\x9f\x98\x80\n"
    b"steps:\n- name: a\n  type: terminal\n...\n",
]

FRAGMENTS = [
    b"!!python/object/apply:os.system [ls]", b"!x ", b"!!str ", b"!<tag:x> ", b"&a ", b"*a", b"*o", b"<<: *o",
    b"<<: {a: 1}", b"\x00", b"\x07", b"\x1b[31m", b"\x7f", b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf",
    b"\xef\xbf\xbe", b"\xed\xa0\x80", b"\xff\xfe", b"\xc3", b"\xf8\x88\x80\x80\x80", b"\xf0\x9f\x98", b"\xff" * 9,
    b"\t", b"\r", b"\r\n", b"\n", b"\n\n---\n", b"\n...\n", b"---", b"? ", b"- ", b": ", b":", b",", b"[", b"]",
    b"{", b"}", b"{}", b"[]", b"'", b'"', b"|", b">", b"|+9", b">-0", b"%", b"@", b"`", b"#", b" #", b"\\",
    b'"\\x"', b'"\\UFFFFFFFF"', b'"\\ud800"', b'"\\0"', b"~", b"null", b"yes", b"name: x\n", b"    name: y\n",
    b"autoflow: 1\n", b"autoflow: 2\n", b"steps:\n", b"9" * 5000, b"1e999", b"-.inf", b".nan", b"0x" + b"f",
    b"0o" + b"7", b"1_0", b"12:30:45", b"2001-01-01", b"=", b"? [a]\n: b", b"? {a: b}\n: c", b"true: 1", b"1: 1",
    b"null: 1", b"'': 1", b"$(", b"$(x", b"$($($(", b"%TAG ! x\n", b"%YAML 9.9\n", b"x" * 1500 + b": y\n",
]  # fmt: skip


def nested(rng: random.Random) -> bytes:
    opening = rng.choice([b"[", b"{a: ", b"- ", b"? ", b"a: [", b"\n- - ", b"{{", b"&a [", b"!x [", b"[{", b'"a": {'])
    return opening * rng.choice([3, 40, 60, 500])


def aliases(rng: random.Random) -> bytes:
    width, depth = rng.choice([(2, 30), (10, 9), (50, 4), (3, 3)])
    text = b"a0: &a0 [x]\n"
    for level in range(1, depth):
        text += b"a%d: &a%d [%s]\n" % (level, level, b", ".join([b"*a%d" % (level - 1)] * width))
    return text


def damaged(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(10):
            case 0 | 1 if data:
                data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
            case 2:
                del data[at:]
            case 3:
                del data[at : at + rng.randrange(1, 20)]
            case 4 | 5:
                data[at:at] = rng.choice(FRAGMENTS)
            case 6:
                end = rng.randrange(len(data) + 1)
                data[at:at] = data[min(at, end) : max(at, end)]
            case 7:
                data[at:at] = nested(rng)
            case 8:
                lines = data.splitlines(keepends=True)
                rng.shuffle(lines)
                data = bytearray(b"".join(lines))
            case 9:
                data[at:at] = aliases(rng) if rng.random() < 0.3 else bytes(rng.randrange(256) for _ in range(5))
    return bytes(data)


def test_20000_damaged_files_are_read_or_refused_and_nothing_else() -> None:
    rng = random.Random(20_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = refused = silent = 0
    for _ in range(20_000):
        data = damaged(rng)
        try:
            document = parse(data if rng.random() < 0.9 else data.decode("utf-8", "surrogateescape"), "damaged.yaml")
        except WorkflowError as error:
            refused += 1
            # Not an assertion in here: pytest would show it as an error while handling another.
            silent += error.line is None or not error.hint
        else:
            read += 1
            assert isinstance(document.workflow, Workflow)
            assert parse(dump(document.workflow)).workflow == document.workflow
            if read % 10 == 0:
                lint(document)
    assert silent == 0
    # Both must be common, or the damage is not worth its name.
    assert read > 500
    assert refused > 10_000
    unit = 1 if sys.platform == "darwin" else 1024
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < 100 * (1 << 20)


BOMBS = {
    "10 MB scalar": b"name: " + b"x" * 10_000_000,
    "10 MB quoted": b'name: "' + b"\\x41" * 2_500_000 + b'"',
    "1 MB scalar": b"autoflow: 1\nname: " + b"x" * 1_000_000,
    "1 MB quoted, open": b'name: "' + b"x" * 1_000_000,
    "1 MB of escapes": b'name: "' + b"\\x41" * 250_000 + b'"',
    "1 MB of brackets": b"[" * 1_000_000,
    "1 MB of braces": b"{" * 1_000_000,
    "1 MB of dashes": b"- " * 500_000,
    "1 MB of question marks": b"? " * 500_000,
    "1 MB of colons": b": " * 500_000,
    "1 MB of comments": b"#\n" * 500_000,
    "1 MB of items": b"- a\n" * 250_000,
    "1 MB of keys": b"".join(b"k%d: 1\n" % n for n in range(100_000)),
    "1 MB of flow": b"[" + b"a," * 500_000 + b"]",
    "1 MB of anchors": b"".join(b"- &a%d x\n" % n for n in range(80_000)),
    "1 MB of aliases": b"- &a x\n" + b"- *a\n" * 150_000,
    "1 MB of documents": b"---\n" * 250_000,
    "1 MB of tabs": b"\t" * 1_000_000,
    "1 MB of line breaks": b"\n" * 1_000_000,
    "1 MB of indentation": b"".join(b" " * n + b"a:\n" for n in range(1000)),
    "alias doubling": b"a: &a0 [x, x]\n"
    + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 99)),
    "alias of a long text": b"a: &a " + b"x" * 500_000 + b"\nb: [" + b"*a, " * 9000 + b"]",
    "self reference": b"&a [*a]",
    "long key": b"autoflow: 1\n" + b"k" * 1_000_000 + b": 1\n",
    "long tag": b"a: !" + b"t" * 1_000_000 + b" b",
    "long anchor": b"a: &" + b"t" * 1_000_000 + b" b",
    "long directive": b"%YAML 1." + b"9" * 1_000_000 + b"\n---\na",
    "open references": b"autoflow: 1\nname: x\nsteps: [{name: a, type: terminal, instruction: '"
    + b"$(" * 200_000
    + b"'}]",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_read_or_refused_within_bounded_memory(name: str) -> None:
    told = ""
    tracemalloc.start()
    try:
        try:
            lint(parse(BOMBS[name], "bomb.yaml"))
        except WorkflowError as error:
            told = str(error)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 96 * (1 << 20)
    assert len(told) < 2000


def test_a_workflow_of_the_largest_size_is_linted() -> None:
    steps = "".join(
        f"- {{name: s{n}, type: process, instruction: $(s{n - 1}), next: s{n + 1}, reads: [x{n}]}}\n"
        for n in range(700)
    )
    findings = lint(parse("autoflow: 1\nname: x\nsteps:\n" + steps))
    assert {finding.rule for finding in findings} >= {"AF201", "AF203", "AF301"}
