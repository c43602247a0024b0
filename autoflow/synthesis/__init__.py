"""Makes what a generator learns from: domains of operators, tasks over them, workflows known to be right."""
