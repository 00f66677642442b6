"""The benchmark: the operators beside the torch reference, the limits of the machine, and the peer."""

from __future__ import annotations

import json
import sys

from pdegcnn_lib import ops
from pdegcnn_lib.companion import paths

__all__ = ["main", "networks_main"]


def main(*, as_json: bool = False, peer: str | None = None, quick: bool = False) -> None:
    """Run the benchmark on the CPU and write `results/bench/cpu.json` with its plot.

    `as_json` prints the JSON instead of the tables, `peer` names an interpreter that has LieTorch, `quick` leaves out
    what takes long and writes no file. Raises: RuntimeError where the compiled backend is not available.
    """
    from pdegcnn_lib.companion.bench import report, suite

    if reason := ops.availability()["cpu"]:
        raise RuntimeError(f"nothing to measure, the cpu backend is not available: {reason}")
    result = suite.run(
        peer_python=peer, quick=quick, progress=lambda line: print(f"... {line}", file=sys.stderr)
    )
    print(json.dumps(result, indent=2) if as_json else report.as_text(result))
    if not quick:
        folder = paths.results() / "bench"
        written = [report.save(result, folder, "cpu"), *report.plot(result, folder, "cpu")]
        print("wrote " + ", ".join(str(path) for path in written), file=sys.stderr)


def networks_main(*, as_json: bool = False) -> None:
    """Measure what whole networks cost on the CPU and write `results/bench/networks-cpu.json`."""
    from pdegcnn_lib.companion.bench import networks, report

    result = networks.run(progress=lambda line: print(f"... {line}", file=sys.stderr))
    print(json.dumps(result, indent=2) if as_json else report.networks_as_text(result))
    print(f"wrote {report.save(result, paths.results() / 'bench', 'networks-cpu')}", file=sys.stderr)
