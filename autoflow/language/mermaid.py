"""A workflow as a Mermaid flowchart, as text. Names and labels are escaped: none can end a node or start another."""

from collections.abc import Mapping

from autoflow.core.workflow import Step, Workflow

_SHAPES = {"process": ('["', '"]'), "decision": ('{"', '"}'), "terminal": ('(["', '"])')}
_LONGEST = 80


def mermaid(
    workflow: Workflow, visits: Mapping[str, int] | None = None, moves: Mapping[tuple[str, str], int] | None = None
) -> str:
    """The flowchart, ending in a newline. Decisions are rhombi, terminals stadiums, `otherwise` is dotted.

    Args:
        visits: How often each step ran, by name, as in a trace; written on its node.
        moves: How often a run went from one step to another; written on the edge.
    """
    ids: dict[str, str] = {}
    for number, step in enumerate(workflow.steps):
        ids.setdefault(step.name, f"s{number}")
    lines = ["flowchart TD"]
    for number, step in enumerate(workflow.steps):
        opening, closing = _SHAPES.get(step.type, _SHAPES["process"])
        count = "" if visits is None else f" ×{visits.get(step.name, 0)}"
        lines.append(f"  s{number}{opening}{_escaped(step.name)}{count}{closing}")
    missing: dict[str, str] = {}
    for number, step in enumerate(workflow.steps):
        for label, target, dotted in _ways(step):
            if target not in ids and target not in missing:
                missing[target] = f"m{len(missing)}"
                lines.append(f'  {missing[target]}["{_escaped(target)} (missing)"]')
            went = "" if moves is None else f"×{moves.get((step.name, target), 0)}"
            text = " ".join(part for part in (_escaped(label), went) if part)
            arrow = "-.->" if dotted else "-->"
            name = f'|"{text}"|' if text else ""
            lines.append(f"  s{number} {arrow}{name} {ids.get(target) or missing[target]}")
    return "\n".join(lines) + "\n"


def _ways(step: Step) -> list[tuple[str, str, bool]]:
    ways = [("", step.next, False)] if step.next is not None else []
    ways += [(label, target, False) for label, target in step.branches.items()]
    if step.otherwise is not None:
        bound = f" (after {step.max_visits})" if step.max_visits is not None else ""
        ways.append((f"otherwise{bound}", step.otherwise, True))
    return ways


def _escaped(text: str) -> str:
    """Letters, digits and plain punctuation as they are; everything else as Mermaid's `#code;`."""
    words = " ".join(text.split())
    shown = words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
    return "".join(c if c.isalnum() or c in " .,-_()?!'/…" else f"#{ord(c)};" for c in shown)
