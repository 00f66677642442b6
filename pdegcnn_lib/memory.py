"""Memory that is freed and wanted again: by the next layer of a network, and by the next step of training."""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
from pathlib import Path

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt, in malloc.h
USUAL_PAD = 2**17
HUGE_PAGE = 2**21


def keep_freed_memory(ahead: int = 2**30) -> bool:
    """Let this process keep what it frees, up to 2 GiB; True where the C library can be told so (glibc).

    By default glibc gives large blocks back to the system when they are freed and gets them anew, page by page, when
    they are wanted: a fifth of the time of a training step of a PDE-G-CNN is then the kernel's, which has to clear
    them, and two thirds of the processor time of a photograph. Blocks above 1 GiB are given back all the same.

    So many bytes `ahead` of the heap are asked to be huge pages, which take no memory before they are used: with small
    ones the processor looks for addresses in 6 percent of a training step. A process that is soon over saves the time
    to clear those, with 0.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        c = ctypes.CDLL(None)
        kept = bool(c.mallopt(MMAP_THRESHOLD, 2**30) and c.mallopt(TRIM_THRESHOLD, 2**31 - 1))
    except (AttributeError, OSError):
        return False
    if kept and hasattr(mmap, "MADV_HUGEPAGE"):
        c.mallopt(TOP_PAD, ahead)
        c.malloc.restype, c.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        c.free(c.malloc(ctypes.c_size_t(2**26)))  # more than a heap has left, so that it grows
        c.mallopt(TOP_PAD, USUAL_PAD)
        for begin, end in heap():
            first = -(-begin // HUGE_PAGE) * HUGE_PAGE
            if first < end:
                c.madvise(
                    ctypes.c_void_p(first), ctypes.c_size_t(end - first), ctypes.c_int(mmap.MADV_HUGEPAGE)
                )
    return kept


def heap() -> list[tuple[int, int]]:
    """Where the heap begins and ends; an address space may have it in pieces."""
    text = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    return [(int(a, 16), int(b, 16)) for a, b in re.findall(r"^(\w+)-(\w+) .*\[heap\]$", text, re.MULTILINE)]
