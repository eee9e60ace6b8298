"""What NumPy multiplies matrices with."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info


def about_numpy() -> str:
    """Return NumPy's version, its BLAS and how many threads that uses."""
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    if not pools:
        return f"NumPy {np.__version__}"
    pool = pools[0]
    return f"NumPy {np.__version__}, {pool['internal_api']} with {pool['num_threads']} threads"
