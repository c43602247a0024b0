"""The command line: one module a command under `commands/`, imported when it runs."""
