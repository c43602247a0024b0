"""What a sampled workflow earns. `PLUGIN` of a module here is a frozen dataclass: its fields are the options. Called
with an `Outcome` and a `Past` it gives the reward; `None`, where the score is not known, skips the sample.
`uses_baseline: ClassVar[bool] = True` asks for `Past.baseline`."""
