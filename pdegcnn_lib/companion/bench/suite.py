"""One run of the benchmark: every figure of the table, measured side by side, with its target and its verdict."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pdegcnn_lib.companion.bench import before, cases, neighbours, peer, steps, volumes
from pdegcnn_lib.companion.bench.cases import LARGE, SMALL, WINDOWS, Size, Window
from pdegcnn_lib.companion.bench.limits import Arithmetic, copy_bandwidth
from pdegcnn_lib.companion.bench.measure import Timing, peak_in_fresh_process, row, side_by_side
from pdegcnn_lib.companion.experiments.provenance import provenance
from pdegcnn_lib.ops import convection

# LieTorch 0.7.1 on two cores of another machine of this kind, milliseconds and MiB: used where no --peer is given.
RECORDED_PEER = {"dilation_both_ways": 737.0, "cde_layer": 1300.0, "training_step": 5100.0, "peak_mib": 84.0}

Progress = Callable[[str], None]


def run(
    *,
    device: str = "cpu",
    peer_python: str | None = None,
    quick: bool = False,
    progress: Progress = lambda line: None,
) -> dict[str, object]:
    """Measure everything on `device` and return plain values: provenance, operators, table.

    `quick` leaves out the large size, the larger windows and the compiled reference.
    """
    start, load = time.time(), os.getloadavg() if hasattr(os, "getloadavg") else None
    progress("the limits of the machine")
    result: dict[str, Any] = {
        "provenance": provenance(torch.device(device)),
        "load": load,
        "limits": _limits(device),
        "peer": _peer(peer_python, progress),
    }
    sizes = {SMALL: WINDOWS[:2] if quick else WINDOWS, LARGE: () if quick else WINDOWS}
    result["dilation"] = [
        _dilation(size, window, device, quick, progress)
        for size, windows in sizes.items()
        for window in windows
    ]
    result["table"] = _table(device, result, progress)
    if device == "cpu" and not quick:
        result["table"] += _steps(progress)
        progress("the neighbours")
        result["neighbours"] = neighbours.measured()
        result["before"] = before.measured(progress)
    result["seconds"] = round(time.time() - start, 1)
    return result


def _limits(device: str) -> dict[str, float]:
    loop = Arithmetic(device)
    best = side_by_side({"loop": loop})["loop"].best
    return {
        "gtaps_per_second": loop.gtaps_per_second(best),
        "copy_gb_per_second": round(copy_bandwidth(device), 3),
    }


def _peer(python: str | None, progress: Progress) -> dict[str, object]:
    if python is None:
        return {
            "source": "recorded: LieTorch 0.7.1, two cores of another machine of this kind",
            **RECORDED_PEER,
        }
    progress("the peer")
    done = subprocess.run([python, str(Path(peer.__file__))], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{python} could not time the peer:\n{done.stderr[-2000:]}")
    return {
        "source": "measured in this run",
        "peak_mib": RECORDED_PEER["peak_mib"],
        **json.loads(done.stdout),
    }


def _dilation(size: Size, window: Window, device: str, quick: bool, progress: Progress) -> dict[str, object]:
    progress(f"dilation {'x'.join(map(str, size))}, window {'x'.join(map(str, window))}")
    f, k, g = cases.tensors(size, window, device, grad=True)
    fast, plain = cases.dilation(device), cases.dilation("reference")
    small = size == SMALL
    calls: dict[str, Callable[[], object]] = {
        "forward": cases.without_gradient(fast, f, k),
        "forward, taps kept": lambda: fast(f, k),
        "forward and backward": cases.both_ways(fast, f, k, upstream=g),
        "depthwise convolution, forward": cases.without_gradient(cases.depthwise, f, k),
    }
    if small or window == WINDOWS[0]:
        calls["reference, forward"] = cases.without_gradient(plain, f, k)
    if small and window in WINDOWS[:2]:
        calls["reference, forward and backward"] = cases.both_ways(plain, f, k, upstream=g)
        calls["depthwise convolution, forward and backward"] = cases.both_ways(
            cases.depthwise, f, k, upstream=g
        )
    if small and not quick and window == WINDOWS[0]:
        # Compiling the unrolled loop over a larger window takes minutes.
        calls["compiled reference, forward"] = cases.without_gradient(torch.compile(plain), f, k)
    times = side_by_side(calls)
    forward = times["forward"].median
    return {
        "size": size,
        "window": window,
        "gtaps_per_second": round(cases.taps(size, window) / forward / 1e6, 3),
        "milliseconds": {name: timing.as_dict() for name, timing in times.items()},
    }


def _table(device: str, result: dict[str, object], progress: Progress) -> list[dict[str, object]]:
    progress("the table")
    peer_ms: Any = result["peer"]
    f, k, g = cases.tensors(SMALL, (5, 5, 5), device, grad=True)
    of_layer = cases.layer_kernel(SMALL, (5, 5, 5), device)
    g0 = torch.randn(SMALL[1], 3, device=device, requires_grad=True)
    fast, plain, loop = cases.dilation(device), cases.dilation("reference"), Arithmetic(device)
    calls: dict[str, Callable[[], object]] = {
        "limit": loop,
        "forward": cases.without_gradient(fast, f, k),
        "taps": lambda: fast(f, k),
        "taps, layer": lambda: fast(f, of_layer),
        "both": cases.both_ways(fast, f, k, upstream=g),
        "reference": cases.without_gradient(plain, f, k),
        "convection": cases.both_ways(lambda f, g0: convection(f, g0, backend=device), f, g0, upstream=g),
        "grid_sample": cases.both_ways(cases.convection_by_grid_sample, f, g0, upstream=g),
    }
    times = side_by_side(calls, seconds=3)
    ms = {name: timing.median for name, timing in times.items()}
    # Whatever disturbed the first measurement of the limit: what the loop once reached, the machine can do.
    limits: Any = result["limits"]
    reached = loop.gtaps_per_second(times["limit"].best)
    limits["gtaps_per_second"] = max(limits["gtaps_per_second"], reached)
    progress("layers and networks")
    ms |= {
        name: timing.median
        for name, timing in side_by_side(
            {
                "layer": cases.cde_layer(device, device),
                "pdegcnn": cases.training_step("vessels-pdegcnn6", cases.PATCHES, device),
                "cnn": cases.training_step("vessels-cnn6", cases.PATCHES, device),
            },
            seconds=6,
        ).items()
    }
    progress("volumes")
    of_volumes, figures = volumes.once(device)
    ms |= of_volumes
    share = (cases.taps(SMALL, (5, 5, 5)) / ms["forward"]) / (loop.taps / ms["limit"])
    rows = [
        row("dilation 5x5x5 forward: share of the measured arithmetic limit", share, ">=", 0.75),
        row("dilation 5x5x5 forward / torch reference", ms["reference"] / ms["forward"], ">=", 8),
        row("the same with winning taps kept / without, time", ms["taps"] / ms["forward"], "<=", 1.5),
        row(
            "the same with the kernels of a layer / random kernels, time",
            *(ms["taps, layer"] / ms["taps"], "<=", 0.8 if device == "cpu" else 1.1),
        ),
        row("dilation forward + backward / peer", peer_ms["dilation_both_ways"] / ms["both"], ">=", 30),
        row(
            "convection forward + backward / torch grid_sample composition",
            *(ms["grid_sample"] / ms["convection"], ">=", 2),
        ),
        *(row(name, value, *volumes.TARGETS[name]) for name, value in figures.items()),
        row("CDE layer forward + backward / peer", peer_ms["cde_layer"] / ms["layer"], ">=", 15),
        row("training step, 6-layer PDE-G-CNN / peer", peer_ms["training_step"] / ms["pdegcnn"], ">=", 15),
        row("the same / 6-layer CNN of 11x the parameters, time", ms["pdegcnn"] / ms["cnn"], "<=", 5),
    ]
    if device == "cpu":
        peak = peak_in_fresh_process('cases.memory_of_dilation("cpu")')
        if peak is not None:
            rows.append(
                row(
                    "peak memory of dilation forward + backward / peer", peak / peer_ms["peak_mib"], "<=", 0.4
                )
            )
            ms["peak_mib"] = peak
        threads = _threads(calls["forward"])
        ms |= {"one_thread": threads[0].median, "two_threads": threads[1].median}
        rows.append(
            row("the same code at 1 and 2 threads, speed", ms["one_thread"] / ms["two_threads"], ">=", 1.7)
        )
    result["milliseconds"] = {name: round(value, 4) for name, value in ms.items()}
    return rows


def _steps(progress: Progress) -> list[dict[str, object]]:
    progress("training steps on one core and on two")
    timings = steps.on_one_thread() | steps.on_one_thread(steps.DIGITS, steps.BATCH_OF_DIGITS)
    pde, cnn, gcnn, unet = (timings[name].median for name in steps.NETWORKS)
    flat, invariant, flat_rival, invariant_rival = (timings[name].median for name in steps.DIGITS)
    name = steps.NETWORKS[0]
    apart = steps.steps_per_second(name, runs=2, threads=1)
    together = steps.steps_per_second(name, runs=1, threads=2)
    return [
        row("training step 8x64x64, one thread: 6-layer PDE-G-CNN / CNN, time", pde / cnn, "<=", 1.5),
        row("the same: PDE-G-CNN / G-CNN, time", pde / gcnn, "<=", 1),
        row("the same: U-Net / CNN, time", unet / cnn, "<=", 1),
        row(
            "training step on digits, 64x28x28, one thread: PDE-G-CNN / G-CNN, time",
            flat / flat_rival,
            "<=",
            1,
        ),
        row("the same, both with the invariant head", invariant / invariant_rival, "<=", 1),
        row("two runs of one thread / one run of two, steps a second", apart / together, ">=", 1),
    ]


def _threads(call: Callable[[], object]) -> tuple[Timing, Timing]:
    def at(threads: int) -> Callable[[], object]:
        def limited() -> object:
            torch.set_num_threads(threads)
            return call()

        return limited

    before = torch.get_num_threads()
    try:
        times = side_by_side({"one": at(1), "two": at(2)}, seconds=2)
    finally:
        torch.set_num_threads(before)
    return times["one"], times["two"]
