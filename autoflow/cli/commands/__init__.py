"""The commands. A module `commands/<name>.py` binds `app`, a Typer; its docstring's first line is its help line."""
