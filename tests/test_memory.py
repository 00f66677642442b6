"""Freed memory stays with the process: the same blocks again cost no page faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import ctypes, resource, sys
from pdegcnn_lib.memory import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    print("unsupported")
    raise SystemExit
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def step():
    blocks = [library.malloc(ctypes.c_size_t(2**24)) for _ in range(8)]
    for block in blocks:
        ctypes.memset(block, 1, 2**24)
    for block in blocks:
        library.free(block)

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has mallopt")
def test_the_same_blocks_again_cost_no_page_faults() -> None:
    def faults(how: str) -> str:
        run = [sys.executable, "-c", CODE, how]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    kept = faults("keep")
    if kept == "unsupported":
        pytest.skip("the C library has no mallopt")
    # 8 blocks of 16 MiB are 32 768 pages of 4 KiB; the interpreter itself may touch a few new ones.
    assert int(kept) < 100 < int(faults("as it is"))


HEAP = """
import re
from pathlib import Path
from pdegcnn_lib.memory import keep_freed_memory

assert keep_freed_memory(2**24) and keep_freed_memory(2**24)  # a second run in a process changes nothing
text = Path("/proc/self/smaps").read_text()
flags = re.findall(r"\\[heap\\].*?VmFlags: ([^\\n]*)", text, re.DOTALL)
print(any("hg" in of.split() for of in flags))
"""


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists(), reason="this kernel has no huge pages"
)
def test_the_heap_asks_for_huge_pages() -> None:
    run = [sys.executable, "-c", HEAP]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "True"
