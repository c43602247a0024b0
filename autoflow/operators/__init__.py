"""Operators that any workflow can name. `PLUGIN` of a module here is an `autoflow.core.operator.Operator`."""
