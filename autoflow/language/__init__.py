"""The workflow language: YAML and CoRE text to `Workflow` and back, with lint, format, diff, diagrams and schemas."""
