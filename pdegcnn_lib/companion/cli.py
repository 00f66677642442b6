"""The command line `pdegcnn`: what is here, what can be built, what has been run."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pdegcnn_lib.companion.data.errors import DataError


def _doctor(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion import doctor

    report = doctor.report()
    print(json.dumps(report, indent=2) if arguments.json else doctor.as_text(report))


def _models(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib import models

    rows: list[dict[str, Any]] = []
    for name in models.names():
        entry = models.entry(name)
        counts = {str(c): models.parameter_count(models.build(name, c)) for c in (1, 3)}
        rows.append({"name": name, "task": entry.task, "summary": entry.summary, "parameters": counts})
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    width = max(len(name) for name in models.names()) + 2
    print(f"{'name':<{width}}{'task':<10}{'1 channel':>10}{'3 channels':>12}  summary")
    for row in rows:
        one, three = row["parameters"]["1"], row["parameters"]["3"]
        print(f"{row['name']:<{width}}{row['task']:<10}{one:>10}{three:>12}  {row['summary']}")


def _experiments(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion.experiments import EXPERIMENTS, PROFILES, grid

    rows: list[dict[str, Any]] = [
        grid.status(experiment, profile) for experiment in EXPERIMENTS.values() for profile in PROFILES
    ]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        head = f"{row['experiment']} ({row['profile']}): {row['done']} of {row['runs']} runs done"
        print(f"{head}; {row['summary']}")
        states = [(name, run) for name in ("missing", "diverged") for run in row[name]]
        print("".join(f"    {name}: {run['model']} seed {run['seed']}\n" for name, run in states), end="")


def _train(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion.experiments import experiment, result_path, run

    unit = experiment(arguments.experiment).unit(arguments.model, arguments.seed, arguments.profile)
    out = arguments.out or result_path(unit)
    result: dict[str, Any] = run(unit, out=out)
    numbers = {k: v for k, v in result["metrics"].items() if isinstance(v, float)}
    print(f"{unit.variant}, seed {unit.seed}: " + ", ".join(f"{k} {v:.4f}" for k, v in numbers.items()))
    print(out)


def _grid(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion.experiments import EXPERIMENTS, experiment, grid, work
    from pdegcnn_lib.companion.experiments.config import check_profile

    profile, say = check_profile(arguments.profile), partial(print, flush=True)
    chosen = [experiment(name) for name in arguments.experiment or EXPERIMENTS]
    asked = {name: value for name in CLUSTER if (value := getattr(arguments, name)) is not None}
    if asked and not arguments.cluster:
        raise ValueError(f"{', '.join(f'--{CLUSTER[name]}' for name in asked)} is for --cluster slurm alone")
    if arguments.json and not arguments.list:
        raise ValueError("--json is for --list alone")
    if arguments.list:
        rows = grid.listed(chosen, profile)
        if arguments.json:
            print(json.dumps(rows, indent=2))
            return
        for row in rows:
            print(f"{row['number']:>5}  {row['experiment']} {row['variant']} seed {row['seed']}")
        print(f"{len(rows)} runs are missing" if rows else "nothing is missing")
    elif arguments.unit is not None:
        if arguments.experiment:
            raise ValueError(f"--unit counts all experiments; leave out {' '.join(arguments.experiment)}")
        work.do(grid.numbered_unit(arguments.unit, profile), say)
    elif arguments.cluster:
        from pdegcnn_lib.companion.experiments import cluster, config

        resources = cluster.Resources(**{**asked, "more": config.once("sbatch", asked.get("more", []))})
        cluster.submit(chosen, profile, resources, say=say)
    else:
        work.work_off(chosen, profile, minutes=arguments.minutes, say=say)


def _bench(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion import bench

    if arguments.networks:
        bench.networks_main(as_json=arguments.json)
    else:
        bench.main(as_json=arguments.json, peer=arguments.peer)


def _segment(arguments: argparse.Namespace) -> int:
    from pdegcnn_lib.companion import segment, stacks
    from pdegcnn_lib.companion.experiments import trained

    images = list(dict.fromkeys(arguments.images))  # one that is given twice is done once
    in_space = all(stacks.suffix(path) in stacks.NIFTI for path in images)
    default = segment.VOLUME_MODEL if in_space else segment.DEFAULT_MODEL
    result = trained.resolve(default if arguments.model is None else arguments.model)
    sizes = {name: getattr(arguments, name) for name in ("scale", "voxel", "size")}
    failed = 0
    for outcome in segment.run(images, arguments.out, result, **sizes):
        failed += bool(outcome.problem)
        said = outcome.problem or "; ".join(["done", *outcome.remarks])
        print(printable(f"{outcome.image}: {said}"), file=sys.stderr if outcome.problem else sys.stdout)
    print(printable(f"{len(images) - failed} of {len(images)} pictures segmented into {arguments.out}"))
    return 1 if failed else 0


def _view(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion.experiments import trained
    from pdegcnn_lib.companion.experiments.pictures import networks

    for path in networks.view(trained.resolve(arguments.model), arguments.image, arguments.out):
        print(path)


def _export(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion import export
    from pdegcnn_lib.companion.experiments import trained

    written = export.export(trained.resolve(arguments.model), arguments.out, force=arguments.force)
    print(printable(written))


def _convert(arguments: argparse.Namespace) -> None:
    from pdegcnn_lib.companion.convert import convert

    for remark in convert(**{k: v for k, v in vars(arguments).items() if k not in ("command", "action")}):
        print(remark)
    print(printable(arguments.out))


def _gallery(_: argparse.Namespace) -> None:
    from pdegcnn_lib.companion.experiments.pictures.gallery import gallery

    print(gallery(("vessels-pdegcnn12", "vessels-unet")))


# The resources of the tasks of an array, and the options that set them.
CLUSTER = {
    "partition": "partition",
    "limit": "time",
    "cpus": "cpus",
    "gpus": "gpus",
    "memory": "mem",
    "tasks": "tasks",
    "more": "sbatch",
}


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, got {text!r}")
    return name, value


def _path(text: str) -> Path:
    if not text:  # a variable that is not set: not the folder in which the reader happens to be
        raise argparse.ArgumentTypeError("must name a file or a folder, got ''")
    return Path(os.path.expanduser(text))  # of --out=~/masks no shell makes a home


def _grid_options(grid: argparse.ArgumentParser) -> None:
    grid.add_argument("experiment", metavar="EXPERIMENT", nargs="*", help="default: all of them")
    grid.add_argument("--profile", default="long", metavar="fast|full|long", help="default: long")
    what = grid.add_mutually_exclusive_group()
    what.add_argument("--minutes", type=float, metavar="M", help="begin no run after so many minutes")
    what.add_argument("--list", action="store_true", help="number the missing runs, and do none")
    what.add_argument("--unit", type=int, metavar="N", help="do the run of this number alone")
    what.add_argument("--cluster", choices=["slurm"], help="submit the missing runs as one array of jobs")
    task = grid.add_argument_group("each task of the array")
    task.add_argument("--partition", metavar="NAME", help="default: that of the cluster")
    task.add_argument("--time", dest="limit", type=int, metavar="M", help="time limit in minutes")
    task.add_argument("--cpus", type=int, metavar="N", help="cores, and threads; default: 1")
    task.add_argument("--gpus", type=int, metavar="N", help="default: 0")
    task.add_argument("--mem", dest="memory", metavar="SIZE", help="memory, such as 8G")
    task.add_argument("--tasks", type=int, metavar="N", help="so many at a time; default: 8")
    task.add_argument(
        "--sbatch",
        dest="more",
        type=_assignment,
        action="append",
        metavar="NAME=VALUE",
        help="a further option of sbatch, such as account=vision; may be repeated",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pdegcnn", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, action: object, text: str, *, has_json: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(action=action)
        if has_json:
            command.add_argument("--json", action="store_true", help="print JSON")
        return command

    add("doctor", _doctor, "versions, usable backends and why not, compiler, data sets found")
    add("models", _models, "the networks: name, task, parameter count for 1 and 3 input channels")
    add("experiments", _experiments, "the grid of runs and what is missing from it")
    bench = add("bench", _bench, "time the operators beside the reference, the machine's limits and the peer")
    bench.add_argument("--peer", metavar="PYTHON", help="an interpreter that has LieTorch")
    bench.add_argument("--networks", action="store_true", help="time whole networks instead of operators")
    train = add("train", _train, "train and evaluate one network", has_json=False)
    train.add_argument("experiment", metavar="EXPERIMENT", help="a name from `pdegcnn experiments`")
    train.add_argument(
        "--model", required=True, metavar="NAME", help="a network or variant of the experiment"
    )
    train.add_argument("--seed", required=True, type=int, metavar="N")
    train.add_argument("--profile", default="fast", metavar="fast|full|long", help="default: fast")
    train.add_argument("--out", type=_path, metavar="FILE", help="the result; default: below runs/")
    _grid_options(add("grid", _grid, "do every missing run of the grid, into results/"))
    segment = add("segment", _segment, "find vessels or lines in your own pictures", has_json=False)
    segment.add_argument(
        "images",
        type=_path,
        nargs="+",
        metavar="IMAGE",
        help="pictures of up to 64 megapixels and any common format, or stacks: TIFF or NIfTI",
    )
    segment.add_argument(
        "-o", "--out", type=_path, required=True, metavar="DIR", help="where masks and overlays go"
    )
    segment.add_argument(
        "--model",
        metavar="NAME|FILE",
        help="a trained network; default: vessels-pdegcnn12-wide, for NIfTI tubes/tubes-pdegcnn-8x2-6",
    )
    segment.add_argument(
        "--scale", type=float, metavar="X", help="resize by X first; default: the size of training"
    )
    segment.add_argument(
        "--voxel",
        type=float,
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="lengths of a voxel; default: the file's",
    )
    segment.add_argument("--size", type=float, metavar="S", help="resample a stack to cubes of this length")
    view = add(
        "view", _view, "draw the orientation score and the learned kernels of a network", has_json=False
    )
    view.add_argument("model", metavar="NAME|FILE", help="a trained network")
    view.add_argument("-o", "--out", type=_path, required=True, metavar="DIR", help="where the pictures go")
    view.add_argument("--image", type=_path, metavar="IMAGE", help="what to lift; default: a vessel crossing")
    export = add("export", _export, "write a trained network for other programs", has_json=False)
    export.add_argument("model", metavar="MODEL", help="a trained network: a name or a file")
    export.add_argument(
        "-o", "--out", type=_path, required=True, metavar="FILE", help="a name that ends in .onnx or .pt2"
    )
    export.add_argument("--force", action="store_true", help="replace a file that is there already")
    convert = add(
        "convert", _convert, "write a checkpoint of LieTorch down for a network here", has_json=False
    )
    convert.add_argument("checkpoint", type=_path, metavar="CHECKPOINT", help="a state dict of torch.save")
    convert.add_argument("--lietorch", required=True, metavar="VERSION", help="whose it is: 0.7 or 0.8")
    convert.add_argument(
        "--model", required=True, metavar="NAME", help="the same network, of `pdegcnn models`"
    )
    convert.add_argument("--channels", type=int, default=1, metavar="N", help="of the image; default: 1")
    convert.add_argument(
        "--option", dest="options", type=_assignment, action="append", default=[], metavar="NAME=VALUE"
    )
    convert.add_argument("-o", "--out", type=_path, required=True, metavar="FILE", help="a .safetensors file")
    convert.add_argument("--force", action="store_true", help="replace a file that is there already")
    add(
        "gallery", _gallery, "draw the best and worst test photographs of the vessel networks", has_json=False
    )
    return parser


def printable(text: object) -> str:
    """A text, or a path, as one line of a terminal: with escapes for what would break it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


INTERRUPTED = {
    "segment": "the pictures named above are done",
    **dict.fromkeys(("view", "export", "convert"), "what it wrote is whole"),
}
GOES_ON = "a training run goes on from the last checkpoint, if it has left one, when it is called again"


def _run(argv: list[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return arguments.action(arguments) or 0
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        known = "pip install" in str(error)
        advice = "" if known else "; pip install 'pdegcnn[notebooks]' installs what it needs"
        print(f"pdegcnn {arguments.command}: {error}{advice}", file=sys.stderr)
        return 2
    except (ValueError, DataError, ImportError, OSError, FloatingPointError, RuntimeError) as error:
        if type(error) is RuntimeError and arguments.command not in ("bench", "grid"):
            raise  # it is about the code, not about what was asked for
        print(f"pdegcnn {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        how = INTERRUPTED.get(arguments.command, GOES_ON)
        print(f"pdegcnn {arguments.command}: interrupted; {how}", file=sys.stderr)
        return 130


def main(argv: list[str] | None = None) -> int:
    """Run the command line; bad input prints one sentence and returns 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show ends nothing
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has read enough. What is still in the buffers goes nowhere, without a word at exit.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as of a program that the signal of a broken pipe ends
    except OSError as error:  # of the flush: a full disk
        print(f"pdegcnn: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
