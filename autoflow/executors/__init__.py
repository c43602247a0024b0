"""Where the draws of a run are carried out: in processes of this machine, or on the nodes of a Ray cluster.

The run's own process (the driver) holds the ledger and says what is drawn next. A worker runs the workflow, makes the
model calls and judges the trace; it asks the run's desk before each call and brings the reply back, so one budget and
one rate limit hold for all workers, and what was paid for is on record before anybody goes on with it.
"""
