"""What a sampled workflow earns. `PLUGIN` of a module here is a frozen dataclass: its fields are the options, and called
with an `Outcome` and a `Past` it gives the reward, `None` where the score is not known: the sample is then skipped.
`uses_baseline: ClassVar[bool] = True` asks for `Past.baseline`."""
