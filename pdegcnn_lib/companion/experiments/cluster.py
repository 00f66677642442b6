"""The grid on a cluster: one array of Slurm jobs, which submitit submits.

That no run is done twice at a time is Slurm's to see to: a submission is one array, and a second one waits until the
first has ended. What a kill, a time limit or a node that fails interrupts, Slurm puts back into its queue, and the run
goes on from its checkpoint.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.experiments.config import Run
from pdegcnn_lib.companion.experiments.grid import missing, urgency
from pdegcnn_lib.companion.experiments.registry import Experiment, enter
from pdegcnn_lib.companion.experiments.search import network_of
from pdegcnn_lib.companion.experiments.work import clear_away, do

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

PROGRAMS = ("sbatch", "sinfo", "srun")
# Options of sbatch that are no further ones.
OWN = {
    "partition": "given by --partition",
    "time": "given by --time",
    "cpus-per-task": "given by --cpus",
    "gpus-per-node": "given by --gpus",
    "mem": "given by --mem",
    **dict.fromkeys(
        ("dependency", "requeue", "array"), "what makes an array go on after a kill, and not to be chosen"
    ),
}
PROBE_SECONDS = 20  # how long a node is waited for that looks whether it sees the folders
TIME_LIMITS = 100  # how often a run may come to the time limit and go on


@dataclass(frozen=True)
class Resources:
    """What Slurm gives to each task of the array, and how many tasks it runs at a time.

    `limit` is that of time, in minutes: a run that needs longer goes back into the queue and on from its checkpoint.
    `memory` is in Slurm's notation, `8G`; `more` are further options of sbatch, such as `account`.
    """

    partition: str | None = None
    limit: int = 240
    cpus: int = 1
    gpus: int = 0
    memory: str | None = None
    tasks: int = 8
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.more:
            if (known := name.replace("_", "-")) in OWN:
                raise ValueError(f"sbatch {known} is {OWN[known]}, got {self.more[name]!r}")
        for name, said in (("limit", "time, in minutes,"), ("cpus", "cpus"), ("tasks", "tasks")):
            if getattr(self, name) < 1:
                raise ValueError(f"{said} must be at least 1, got {getattr(self, name)}")
        if self.gpus < 0:
            raise ValueError(f"gpus must be at least 0, got {self.gpus}")

    @property
    def options(self) -> dict[str, str]:
        """The options of a job, as sbatch and srun name them."""
        return {
            **({"partition": self.partition} if self.partition else {}),
            "time": str(self.limit),
            "cpus-per-task": str(self.cpus),
            **({"gpus-per-node": str(self.gpus)} if self.gpus else {}),
            **({"mem": self.memory} if self.memory else {}),
            **self.more,
        }


@dataclass(frozen=True)
class Work:
    """What a task of the array does: a run, and where it is one of a search, what that search asks for next.

    `witness` is a result that lay in the result folder when the array was submitted, None where there was none.
    """

    witness: Path | None

    def __call__(self, experiment: Experiment, unit: Run) -> None:
        if self.witness is not None and not self.witness.exists():
            raise DataError(f"{paths.results()} is not shared: {self.witness} is not on this machine")
        enter(experiment)
        say = partial(print, flush=True)
        do(unit, say)
        while experiment.search is not None and (left := _of_network(experiment, unit)):
            do(left[0], say)

    def checkpoint(self, *arguments: Any) -> DelayedSubmission:
        """What is to be done after the time limit: the same, as runs go on from their own checkpoints.

        A second signal is ignored from here on: it would interrupt submitit while it puts the task back into the queue.
        """
        from submitit.core.job_environment import JobEnvironment
        from submitit.helpers import DelayedSubmission

        signal.signal(signal.Signals[f"SIG{JobEnvironment.USR_SIG}"], signal.SIG_IGN)
        return DelayedSubmission(self, *arguments)


def _of_network(experiment: Experiment, unit: Run) -> list[Run]:
    asked = missing(experiment, unit.profile)
    return [u for u in asked if network_of(u.config) == network_of(unit.config)]


def tasks(experiments: Sequence[Experiment], profile: str) -> list[tuple[Experiment, Run]]:
    """What an array of the missing runs consists of, most urgent first.

    A search asks for its next run when it has the result of the last, and an array is fixed when it is submitted: the
    search of one network is one task, which begins with what is asked for now and goes on to the end.
    """
    found: dict[str, tuple[Experiment, Run]] = {}
    for experiment in experiments:
        for unit in missing(experiment, profile):
            network = (
                unit.stem if experiment.search is None else f"{experiment.name}/{network_of(unit.config)}"
            )
            found.setdefault(network, (experiment, unit))
    return sorted(found.values(), key=lambda task: urgency(task[1]))


def _check(resources: Resources) -> None:
    """Raises: OSError without a Slurm that answers, ValueError for a partition that it does not have."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        raise OSError(f"Slurm is not here: there is no {' or '.join(absent)} on the PATH")
    asked = subprocess.run(
        ["sinfo", "--all", "--noheader", "--format=%R"], capture_output=True, encoding="utf-8", check=False
    )
    if asked.returncode:
        raise OSError(f"Slurm does not answer: {_words(asked.stderr)}")
    partitions = sorted(set(asked.stdout.split()))
    if resources.partition is not None and not {*resources.partition.split(",")} <= {*partitions}:
        raise ValueError(f"partition must be one of {', '.join(partitions)}, got {resources.partition!r}")


def _words(said: str) -> str:
    """What a program of Slurm said, as one line."""
    return "; ".join(line.strip() for line in said.splitlines() if line.strip()) or "no reason is given"


@contextmanager
def _folders(*folders: Path) -> Iterator[None]:
    """Make these folders, to write into. After an error those that were not there before, and are empty, are gone."""
    missing = [f for folder in folders for f in (*reversed(folder.parents), folder) if not f.exists()]
    try:
        for folder in folders:
            paths.check_writable(folder)
        yield
    except BaseException:
        for folder in reversed(missing):
            with suppress(OSError):
                folder.rmdir()
        raise


def _shared(folders: Sequence[Path], resources: Resources) -> bool:
    """Whether a node sees what is written into these folders; False where none was free to look.

    Raises: ValueError where it does not.
    """
    with ExitStack() as stack:
        marks = []
        for folder in folders:
            marks.append(stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, prefix=".seen-")).name)
        look = 'for mark; do test -e "$mark" && echo "seen" || echo "missed $(dirname "$mark")"; done'
        options = [f"--{name}={value}" for name, value in resources.options.items()]
        probe = ["srun", f"--immediate={PROBE_SECONDS}", "--ntasks=1", "--chdir=/", *options]
        said = subprocess.run(
            [*probe, "sh", "-c", look, "sh", *marks], capture_output=True, encoding="utf-8", check=False
        ).stdout.splitlines()
    missed = [line.removeprefix("missed ") for line in said if line.startswith("missed ")]
    if missed:
        raise ValueError(
            f"results and runs must lie in folders that all machines share; a node does not see {missed[0]}"
        )
    return said == ["seen"] * len(marks)


def submit(
    experiments: Sequence[Experiment],
    profile: str,
    resources: Resources,
    *,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Submit what is missing as one array, which waits until earlier ones of this profile have ended.

    Logs go below `runs`, results where `work_off` puts them. After a refusal nothing is left behind.
    Raises: OSError without Slurm or where it refuses, ValueError for a partition or a folder that nodes do not have.
    """
    try:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error}; pip install 'pdegcnn[cluster]' installs what it needs"
        ) from error
    clear_away([unit for e in experiments for unit in e.units(profile)], say)
    work = tasks(experiments, profile)
    if not work:
        say("nothing is missing")
        return
    _check(resources)
    logs = paths.runs() / "cluster"
    with _folders(paths.results(), logs):
        seen = _shared((paths.results(), paths.runs()), resources)
        folder = Path(tempfile.mkdtemp(dir=logs, prefix=f"{profile}-"))
        executor = SlurmExecutor(folder, max_num_timeout=TIME_LIMITS)
        executor.update_parameters(**_parameters(profile, resources))
        witness = next(paths.results().rglob("*.json"), None)
        try:
            with redirect_stderr(StringIO()):  # what sbatch says against it is in the error, too
                jobs = executor.map_array(Work(witness), *zip(*work, strict=True))
        except (FailedJobError, FailedSubmissionError) as error:
            shutil.rmtree(folder)
            raise OSError(f"Slurm refuses the array: {_words(str(error))}") from error
        if not seen:
            say(
                f"no node was free within {PROBE_SECONDS} seconds to look whether {paths.results()} is shared; "
                "each task looks for itself"
            )
        number = jobs[0].job_id.split("_")[0]
        say(
            f"job {number}: {len(work)} tasks, at most {resources.tasks} at a time; their logs are in {folder}"
        )


def _parameters(profile: str, resources: Resources) -> dict[str, Any]:
    """The array as submitit wants it told: each task works where this process would, with as many threads as cores."""
    places = {"PDEGCNN_ROOT": paths.root(), "PDEGCNN_DATA": paths.data(), "PDEGCNN_RUNS": paths.runs()}
    environment = {**places, "OMP_NUM_THREADS": resources.cpus, "TQDM_DISABLE": 1}
    return {
        "job_name": f"pdegcnn-grid-{profile}",
        "array_parallelism": resources.tasks,
        "time": resources.limit,
        "signal_delay_s": min(
            90, 15 * resources.limit
        ),  # before the limit: to put the task back into the queue
        "setup": [f"export {name}={shlex.quote(str(value))}" for name, value in environment.items()],
        "srun_args": [f"--cpus-per-task={resources.cpus}"],  # which srun does not take over from sbatch
        "stderr_to_stdout": True,
        "additional_parameters": {**resources.options, "requeue": True, "dependency": "singleton"},
    }
