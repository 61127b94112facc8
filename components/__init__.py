"""What the pipeline is made of: a folder for each step, and folders for what the steps share.

OpenMP's threads meet after each product, and spin until the last has come: by default for milliseconds, and on cores that the
last one waits for where others work, too. Beside such neighbours two threads then train at a tenth of what is left to them. So
they spin for some microseconds only, and sleep. It is read when torch is loaded, hence this place; what the environment says
itself goes first. No byte of a result depends on it.
"""

import os

SPINS = (
    "1000"  # turns of the loop in which a thread waits; tests/benchmarks/test_shared_cores.py measures what it costs and saves
)

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
