"""AdventureWorks DataOps: an event-driven data platform with a gate at every step."""

import os

# The matrices of forecasts are small: with one thread per processor, OpenBLAS spends more time waiting than computing.
# It reads this once, when NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Most frames are small, and tasks run in parallel: more threads use more processor time for the same rows.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
