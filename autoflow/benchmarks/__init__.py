"""Benchmarks: a folder each, found by name or path. Test tasks come out of `held_out` alone."""
