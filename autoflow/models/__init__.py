"""Model providers. `PLUGIN` of a module here is a function `(name, options) -> autoflow.core.model.Model`."""
