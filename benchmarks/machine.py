"""What the machine is, and what a process takes of it."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path


def peak_memory() -> float:
    """Return the most memory that this process has held so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage's, this number isn't inherited from a parent
        return _kilobytes(status, "VmHWM") / 1024
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def memory_now() -> float:
    """Return the memory that this process holds, in MiB (Linux)."""
    return _kilobytes(Path("/proc/self/status"), "VmRSS") / 1024


def _kilobytes(status: Path, name: str) -> int:
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def described() -> dict[str, str | int | float]:
    """Say what the timings were taken on, and how busy that was with other things before."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
