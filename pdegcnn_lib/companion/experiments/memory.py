"""Memory that a training step has freed and the next one wants again."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt, in malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, up to 2 GiB; True where the C library can be told so (glibc).

    By default glibc gives large blocks back to the system at the end of a step and gets them anew, page by page, at the
    next one: a fifth of the time of a step of a PDE-G-CNN is then the kernel's, which has to clear them.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(tell(MMAP_THRESHOLD, 2**30) and tell(TRIM_THRESHOLD, 2**31 - 1))
