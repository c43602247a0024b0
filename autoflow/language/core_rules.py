"""Rules AF5xx: faults of CoRE text, each seen in a published flow or let through by the published readers.

They are found while the text is read (`autoflow.language.core_text`): the workflow that comes out has none of them.
"""

from autoflow.language.findings import declare

FIELDS = "AF501"
DELIMITER = "AF502"
TRUNCATED = "AF503"
UNPAIRED = "AF504"
TYPE = "AF505"
NO_EXIT = "AF506"
WRONG_TYPE = "AF507"
TERMINAL_EXIT = "AF508"
NEXT_LABEL = "AF509"
DUPLICATE_LABEL = "AF510"
DUPLICATE_NAME = "AF511"
NAME_CASE = "AF512"
IMPOSSIBLE = "AF513"
NO_PLAN = "AF514"
NOTHING_SELECTED = "AF515"
LEFT_OUT = "AF516"
BOUNDED = "AF517"

declare(FIELDS, "error", "A line has four fields", "The published readers crash on fewer.")
declare(DELIMITER, "warning", "`:::` parts fields, `::` parts branches", "Else branches are lost without a word.")
declare(TRUNCATED, "warning", "An instruction holds no `:::`", "The published readers cut it off there.")
declare(UNPAIRED, "error", "Every label has a target", "A lone label leads nowhere.")
declare(TYPE, "error", "A step's type exists", "It is guessed from the branches.")
declare(NO_EXIT, "error", "A process or decision leads on", "The run would end there without an answer.")
declare(
    WRONG_TYPE, "warning", "A process has one branch, a decision several", "Readers go by the number, not the word."
)
declare(TERMINAL_EXIT, "error", "A terminal has no branches", "They are left out.")
declare(NEXT_LABEL, "warning", "The one branch of a process is called next", "Any other label is dropped.")
declare(DUPLICATE_LABEL, "error", "The labels of a decision differ", "The published readers keep the last.")
declare(DUPLICATE_NAME, "error", "Step names are unique", "The published readers keep the last.")
declare(NAME_CASE, "warning", "Targets are written as the names are", "They differ only in case or space: resolved.")
declare(IMPOSSIBLE, "warning", "A terminal gives the answer", "A text that says it is impossible is scored as a plan.")
declare(NO_PLAN, "warning", "A terminal outputs the plan", "A mapping or an analysis is not what is scored.")
declare(NOTHING_SELECTED, "warning", "A step that can run selects the models", "Else the answer is made up at the end.")
declare(LEFT_OUT, "warning", "Nothing was left out", "Steps that can never run are left out of an import for running.")
declare(BOUNDED, "warning", "Every loop was bounded", "An import for running adds the bounds that CoRE cannot say.")
