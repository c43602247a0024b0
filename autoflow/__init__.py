"""autoflow: natural-language workflows that run, and generators that learn to write them."""

__version__ = "0.1.0"
