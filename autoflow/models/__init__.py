"""Model providers. `PLUGIN` of a module here is a function `(name, options) -> autoflow.core.model.Model`, or an
`autoflow.models.provider.Provider`, which says besides what its models cost.
"""
