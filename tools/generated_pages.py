"""Write what nobody edits: versions and times of this build, commands, the ledger, results, what pages carry."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
from pathlib import Path
from statistics import mean

import browser_pages

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["torch", "numpy", "scipy", "scikit-learn", "cupy-cuda12x", "papermill", "jupyter-book", "Sphinx"]


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def status(executed: Path) -> str:
    """Versions and device of this build, then one row per notebook from what papermill noted in it."""
    import torch

    from pdegcnn_lib.companion.experiments.provenance import installed

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    machine = [
        ["Python", platform.python_version()],
        # The lock has CuPy for Linux alone.
        *([name, installed(name) or "not installed"] for name in PACKAGES),
        ["system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"],
        ["GPU", gpu],
    ]
    runs = []
    for path in sorted(executed.glob("*.ipynb")):
        notes = json.loads(path.read_text(encoding="utf-8"))["metadata"]["papermill"]
        runs.append(
            [
                f"{{doc}}`notebooks/{path.stem}`",
                notes["parameters"].get("profile", ""),
                f"{notes['duration']:.0f} s",
                notes["start_time"][:16].replace("T", " "),
            ]
        )
    return "\n\n".join(
        [
            "## Machine and versions",
            table(["what", "value"], machine),
            "## Notebooks",
            table(["notebook", "profile", "ran for", "started (UTC)"], runs),
        ]
    )


def command_line() -> str:
    """The help of every command, as the program prints it."""
    from pdegcnn_lib.companion import cli

    def text(*arguments: str) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            cli.main([*arguments, "--help"])
        return out.getvalue().strip()

    os.environ["COLUMNS"] = "88"
    top = text()
    listed = top.split("COMMAND\n", 1)[1].splitlines()
    commands = [
        line.split()[0] for line in listed if line.startswith("    ") and not line.startswith("     ")
    ]
    parts = [f"```text\n{top}\n```"]
    parts += [f"## pdegcnn {name}\n\n```text\n{text(name)}\n```" for name in commands]
    return "\n\n".join(parts)


def ledger_page() -> str:
    """What the notebooks measured; a row that is not as it should be or a statement without a row stops the build."""
    from pdegcnn_lib.companion import ledger

    if faults := ledger.faults():
        raise SystemExit("\n".join(faults))
    return ledger.table()


WORDS = {"holds": "ahead of", "level": "not told apart from", "fails": "behind"}


def evidence() -> tuple[str, dict[str, str]]:
    """What the first page says of results: a table of each network on vessels, and numbers.

    The networks are those whose search is over, and of those with something changed the ones of another size. The
    numbers are how many each network has, what the second observer scores, and, in words too, what the results say of
    networks.
    """
    from pdegcnn_lib.companion.experiments import claims, pictures
    from pdegcnn_lib.companion.experiments.comparison import grouped
    from pdegcnn_lib.companion.experiments.run import settled_results

    runs = grouped(settled_results("vessels"))

    def spaced(number: int) -> str:
        return f"{number:,}".replace(",", "\u00a0")

    steps = {name: found[0]["training"]["steps"] for name, found in runs.items()}
    numbers = {name: spaced(found[0]["parameters"]) for name, found in runs.items()}

    first = {(found[0]["model"], found[0]["parameters"]): name for name, found in reversed(runs.items())}
    rows = [
        [
            pictures.label(name),
            numbers[name],
            spaced(steps[name]),
            f"{mean(r['metrics']['dice'] for r in found):.3f}",
            str(len(found)),
        ]
        for name, found in sorted(runs.items(), key=lambda item: item[1][0]["parameters"])
        if first[found[0]["model"], found[0]["parameters"]] == name
    ]
    said = {name.replace("-", "_"): number for name, number in numbers.items()}
    said["second_observer"] = f"{next(iter(runs.values()))[0]['metrics']['observer']['dice']:.3f}"
    for verdict in claims.judged():
        if verdict.claim.experiment == "vessels":
            name = f"{verdict.claim.ours}_against_{verdict.claim.rival}".replace("-", "_")
            times = verdict.parameters[1] / verdict.parameters[0]
            difference, interval = pictures.lead(verdict)
            rival = pictures.names.FAMILY_LABELS[verdict.claim.rival_family]
            said[name] = (
                f"{WORDS[verdict.word]} the {rival} of {times:.0f} times its size "
                f"({difference}\u00a0{interval}\u00a0%)"  # a figure is not torn
            )
    return table(["trained for long", "numbers", "steps", "Dice", "runs"], rows), said


def support_page() -> str:
    """The table that the tests of `tests/support` measured, and under it the sentence of every `no`."""
    measured = json.loads((ROOT / "book" / "support.json").read_text(encoding="utf-8"))
    lines = measured["cells"]
    questions = list(dict.fromkeys(question for answers in lines.values() for question in answers))
    sentences: list[str] = []
    rows = []
    for name, answers in lines.items():
        row = [f"`{name}`"]
        for question in questions:
            said = answers.get(question, "")
            if said.startswith("no: "):
                quoted = f"`` {said.removeprefix('no: ')} ``"  # with stars and underscores as they are
                sentences.append(f"{len(sentences) + 1}. `{name}`, {question}: {quoted}")
                said = f"no ({len(sentences)})"
            row.append(said)
        rows.append(row)
    when = f"Measured with torch {measured['torch']} on the sources `{measured['sources']}`."
    return "\n\n".join([table(["", *questions], rows), "\n".join(sentences), when])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executed", type=Path, required=True, help="the notebooks that were run")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the pages")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "status.md").write_text(status(options.executed) + "\n", encoding="utf-8")
    (options.out / "cli.md").write_text(command_line() + "\n", encoding="utf-8")
    (options.out / "ledger.md").write_text(ledger_page() + "\n", encoding="utf-8")
    results, numbers = evidence()
    (options.out / "evidence.md").write_text(results + "\n", encoding="utf-8")
    (options.out / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")
    (options.out / "support.md").write_text(support_page() + "\n", encoding="utf-8")
    browser_pages.write(options.out)


if __name__ == "__main__":
    main()
