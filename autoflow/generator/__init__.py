"""Writes workflows: task description, operators and evidence in, a workflow that lints out."""
