"""A real Slurm on this machine: munge, a controller and one node of two cores, of this user and in one folder."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmdParameters=config_overrides
ReturnToService=0
KillWait=1
NodeName=localhost CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=debug Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def absent() -> list[str]:
    """The programs that are not here; none where a cluster can be started."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Slurm:
    """Use as a context; the programs of Slurm in this process's environment then speak to this cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}

    def __enter__(self) -> Slurm:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        values = {"user": getpass.getuser(), "folder": self.folder, "ports": free_ports(2)}
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
        files = {
            "socket": "munge",
            "key-file": "key",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        try:
            self._start("munged", "--foreground", "--force", *options)
            wait(lambda: (self.folder / "munge").exists(), "munged")
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D", "-N", "localhost")
            wait(lambda: self("sinfo", "-h", "-o", "%T") == "idle", "the node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *of_an_error: object) -> None:
        for daemon in reversed(list(self.daemons.values())):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.kill_tasks()

    def _start(self, program: str, *arguments: str) -> None:
        with open(self.folder / f"{program}.txt", "ab") as log:
            command = [str(shutil.which(program, path=PATH)), *arguments]
            self.daemons[program] = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def __call__(self, *command: str) -> str:
        """What a program of Slurm prints, errors too."""
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.stdout.strip()

    def kill_tasks(self) -> None:
        """End what runs on the node, as a loss of power does, without a word to the controller."""
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended, or is not ours
                around = (place / "environ").read_bytes().split(b"\0")
                ours = f"SLURM_CONF={self.folder}/slurm.conf".encode() in around
                step = (place / "cmdline").read_bytes().startswith(b"slurmstepd")
                if ours and (step or any(name.startswith(b"SLURM_JOB_ID=") for name in around)):
                    os.kill(int(place.name), signal.SIGKILL)

    def restart_controller(self) -> None:
        controller = self.daemons.pop("slurmctld")
        controller.terminate()
        controller.wait(30)
        self._start("slurmctld", "-D")
        wait(lambda: "UP" in self("scontrol", "ping"), "the controller")


def wait(until: Callable[[], object], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} seconds for {what}")
        time.sleep(0.1)
