"""AdventureWorks DataOps: an event-driven data platform whose every step is gated."""

import os

# The matrices of forecasts are small: with a thread per processor, OpenBLAS spends more time waiting than computing.
# It reads this once, when NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Most frames are small, and tasks run beside each other: more threads take more processor time for the same rows.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
