"""The benchmark for a reader: a table in plain text, a plot, a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pdegcnn_lib.companion import paths


def as_text(result: dict[str, Any]) -> str:
    """The result as tables."""
    limits, device = result["limits"], result["provenance"]["device"]
    lines = [
        f"{device}; {limits['gtaps_per_second']:.1f} G taps/s on registers, "
        f"{limits['copy_gb_per_second']:.1f} GB/s copied; peer {result['peer']['source']}",
        "",
        f"{'dilation, milliseconds':<44}{'G taps/s':>9}{'forward':>9}{'+ taps':>9}{'+ backward':>11}"
        f"{'depthwise':>10}{'reference':>10}",
    ]
    for row in result["dilation"]:
        ms = {name: timing["median"] for name, timing in row["milliseconds"].items()}
        what = f"{list(row['size'])} {'x'.join(map(str, row['window']))}"
        reference = ms.get("reference, forward")
        lines.append(
            f"{what:<44}{row['gtaps_per_second']:>9.1f}{ms['forward']:>9.2f}{ms['forward, taps kept']:>9.2f}"
            f"{ms['forward and backward']:>11.2f}{ms['depthwise convolution, forward']:>10.1f}"
            + (f"{reference:>10.1f}" if reference else f"{'-':>10}")
        )
    if result["load"] and result["load"][0] > 1.5:
        lines += [
            "",
            f"The machine was busy (load {result['load'][0]:.1f}): times are too long and ratios uncertain.",
        ]
    lines += ["", f"{'figure':<70}{'value':>9}  {'target':<9}"]
    for row in [*result["table"], *result.get("kernels", [])]:
        verdict = "" if row["met"] else "  missed"
        lines.append(f"{row['figure']:<70}{row['value']:>9.2f}  {row['target']:<9}{verdict}")
    for row in [*result.get("neighbours", []), *result.get("before", [])]:
        value = f"{row['value']:>9.2f}" if "value" in row else f"  not measured, {row['reason']}"
        lines.append(f"{row['figure']:<70}{value}")
    return "\n".join(lines)


def networks_as_text(result: dict[str, Any]) -> str:
    """What whole networks cost, as a table."""
    lines = [
        result["provenance"]["device"],
        "",
        f"{'network':<24}{'parameters':>11}{'step, ms':>10}{'photograph, ms':>16}{'peak, MiB':>11}",
    ]
    for row in result["networks"]:
        peak = f"{row['peak_mib']:>11.0f}" if row["peak_mib"] is not None else f"{'-':>11}"
        lines.append(
            f"{row['variant']:<24}{row['parameters']:>11}{row['step_ms']['median']:>10.0f}"
            f"{row['photograph_ms']['median']:>16.0f}{peak}"
        )
    return "\n".join(lines)


def plot(result: dict[str, Any], folder: Path, name: str) -> list[Path]:
    """The speed of the dilation in each case beside the limit, and of its rivals; PNG and SVG. Needs matplotlib."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    rows = [row for row in result["dilation"] if row["size"] == result["dilation"][0]["size"]]
    labels = ["x".join(map(str, row["window"])) for row in rows]
    series = {
        "forward": "forward",
        "forward, winning taps kept": "forward, taps kept",
        "torch depthwise convolution": "depthwise convolution, forward",
        "torch reference": "reference, forward",
    }
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for n, (label, key) in enumerate(series.items()):
        speeds = []
        for row in rows:
            outputs_and_taps = row["gtaps_per_second"] * row["milliseconds"]["forward"]["median"]
            timing = row["milliseconds"].get(key)
            speeds.append(outputs_and_taps / timing["median"] if timing else 0)
        axes.bar([x + 0.2 * (n - 1.5) for x in range(len(rows))], speeds, width=0.2, label=label)
    limit = result["limits"]["gtaps_per_second"]
    axes.axhline(limit, color="black", linestyle="--", linewidth=1, label="subtract and max on registers")
    axes.set_yscale("log")
    axes.set_xticks(range(len(rows)), labels)
    axes.set_xlabel(f"window, on {list(rows[0]['size'])}")
    axes.set_ylabel("10$^9$ taps per second")
    figure.legend(fontsize="small", ncols=3, loc="outside lower center")
    axes.set_title(result["provenance"]["device"], fontsize="medium")
    written = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    folder.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "pdegcnn"
    for path in written:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    return written


def save(result: dict[str, Any], folder: Path, name: str) -> Path:
    """Write the result as `folder/name.json`, atomically."""
    return paths.write_atomically(folder / f"{name}.json", json.dumps(result, indent=2) + "\n")
