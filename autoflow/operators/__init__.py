"""Operators that any workflow can name. `PLUGIN` of a module here is an `autoflow.core.operator.Operator`.

One that asks a model names its templates in `prompts`, and says in `calls` how often it asks; `docs/operators.md` has
them all, and how to write one.
"""
