"""Threads of the compiled kernels.

Kernels that share particles out with numba's ``prange`` use
``numba.get_num_threads()`` threads: set NUMBA_NUM_THREADS before the start, or
call ``numba.set_num_threads``, to the number that torch is given, since the two
libraries keep separate pools and take turns within a training step.
"""

from __future__ import annotations

from threading import Lock

ONE_PARALLEL_REGION = Lock()
"""Held while a ``prange`` kernel runs: numba's own thread pool, in use where
OpenMP is absent, ends the process when two Python threads start kernels at once."""
