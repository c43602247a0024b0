"""Workflows for property tests: any well-typed one, and the sound ones that CoRE text can say."""

from hypothesis import strategies as st

from autoflow.core.workflow import STEP_TYPES, Step, Workflow

AWKWARD = [
    "yes", "no", "on", "Off", "y", "~", "null", "1.10", "0x1F", "1e5", ".inf", "2020-01-01", "12:30:45", "<<", "=",
    "a: b", "a #b", "# a", "- x", "? x", "key:", " x", "x ", "\tx", "a\nb", "a\nb\n", "a\n\nb\n\n", "\na", "a\n  b\nc",
    "a\n\t\nb", "a\r\nb", "---", "a\n---\nb", "...", "'", '"', "\\", "[a", "{b", "*c", "&d", "!e", "@f", "%g", "`h",
    "word " * 60 + "end", "x" * 2000, "k" * 1100, "aa: " * 40, "ü", "\u2028", "\x85", "\ufeff", "a\u2028b\nc", "\x00",
    "😀", "$(task)", "$$(x",
    "{{ x }}", "what?", "a,b", "true", "no: yes",
]  # fmt: skip

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(AWKWARD)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, json_values, max_size=3)
steps = st.builds(
    Step,
    name=texts,
    type=st.sampled_from(STEP_TYPES),
    instruction=texts,
    operator=texts,
    parameters=objects,
    next=st.none() | texts,
    branches=st.dictionaries(texts, texts, max_size=3),
    max_visits=st.none() | st.integers(-5, 10**15),
    otherwise=st.none() | texts,
    reads=st.none() | st.lists(texts, max_size=3).map(tuple),
    for_each=st.none() | texts,
    output=st.none() | objects,
    model=st.none() | texts,
    timeout_s=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
workflows = st.builds(
    Workflow,
    name=texts,
    steps=st.lists(steps, min_size=1, max_size=3).map(tuple),
    description=texts,
    inputs=st.none() | st.lists(texts, max_size=2).map(tuple),
)

_words = st.text(st.sampled_from("abcXYZ :,'üß-#\"$()é日"), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text and "::" not in text and "$(" not in text
)


@st.composite
def core_workflows(draw: st.DrawFn) -> Workflow:
    """Steps that say only what CoRE text can, each with targets that exist."""
    names = draw(st.lists(_words, min_size=2, max_size=6, unique_by=lambda name: " ".join(name.split()).casefold()))
    made = []
    for number, name in enumerate(names):
        kind = "terminal" if number == len(names) - 1 else draw(st.sampled_from(STEP_TYPES))
        instruction = draw(_words)
        targets = st.sampled_from(names)
        if kind == "process":
            made.append(Step(name, kind, instruction, next=draw(targets)))
        elif kind == "decision":
            branches = draw(st.dictionaries(_words, targets, min_size=2, max_size=4))
            made.append(Step(name, kind, instruction, branches=branches))
        else:
            made.append(Step(name, kind, draw(st.just("") | st.just(instruction))))
    return Workflow("core", tuple(made))
