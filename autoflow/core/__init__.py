"""Data and protocols that everything else is built on. No I/O, no clock, no randomness."""
