"""How the generator is improved. `PLUGIN` of a module here is a class of `autoflow.core.strategy.Strategy`, made with
the strategy's own options as keywords."""
