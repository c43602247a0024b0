"""Runs code that a model wrote, behind a boundary that the kernel enforces.

`choose()` gives the best boundary that works here; `judge()` runs tests against code so that the code cannot decide
the verdict. What runs inside the boundary is in `inside/`.
"""
