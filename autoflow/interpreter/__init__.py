"""Runs a workflow on a task: Workflow -> LangGraph state graph -> Trace. `run.Interpreter` is the door."""
