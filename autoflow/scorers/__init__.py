"""Judges of a finished trace. `PLUGIN` of a module here is a function from the parameters in benchmark.yaml to an
`autoflow.core.score.Scorer`."""
