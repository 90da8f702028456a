"""A real Slurm on this machine: munged, slurmctld and two slurmd out of Debian packages, all in a temporary folder."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
MISSING = [name for name in DAEMONS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
NODES = ("n1", "n2")
# cred_expire: how long a requeued job waits before it may begin again (120 s by default).
_SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=3
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SchedulerParameters=sched_interval=1,bf_interval=1
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=20
InactiveLimit=0
MinJobAge=300
SwitchType=switch/none
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """Starts on construction; `stop` ends every process, and removes the folder."""

    def __init__(self) -> None:
        # Not pytest's folder: the name of a socket has room for about 100 letters.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            "PATH": f"{os.environ['PATH']}:/usr/sbin",
            "SLURM_CONF": str(self.folder / "slurm.conf"),
        }
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._write_config()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        munge = {name: self.folder / f"munge.{name}" for name in ("socket", "pid", "log", "seed")}
        self._spawn(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge['socket']}",
            f"--pid-file={munge['pid']}", f"--log-file={munge['log']}", f"--seed-file={munge['seed']}",
        )  # fmt: skip
        self._wait_until(munge["socket"].exists, "munged has no socket")
        self._spawn("slurmctld", "-D", "-i")
        for node in NODES:
            self._spawn("slurmd", "-D", "-N", node)
        self._wait_until(lambda: self.ask("sinfo", "-h", "-o", "%A") == f"0/{len(NODES)}", "the nodes aren't idle")

    def _write_config(self) -> None:
        host = socket.gethostname()
        found = subprocess.run(["slurmd", "-C"], env=self.environment, capture_output=True, text=True, check=True)
        # NodeName=… CPUs=… Boards=… and so on, as this machine is.
        shape = " ".join(word for word in found.stdout.split("\n")[0].split()[1:])
        ports = _free_ports(len(NODES) + 1)
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {shape}"
            for node, port in zip(NODES, ports[1:], strict=True)
        ]
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        text = _SLURM_CONF.format(
            host=host,
            control_port=ports[0],
            user=getpass.getuser(),
            folder=self.folder,
            nodes="\n".join(nodes),
            names=",".join(NODES),
        )
        (self.folder / "slurm.conf").write_text(text)

    def _spawn(self, *command: str) -> None:
        log = (self.folder / f"{command[0]}-{len(self._processes)}.out").open("wb")
        self._processes.append(
            subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        )

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands says."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True).stdout.strip()

    def _wait_until(self, condition, otherwise: str, seconds: float = 120) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                logs = "\n".join(
                    f"{path.name}: {path.read_text(errors='replace')[-1500:]}"
                    for path in self.folder.glob("*.[lo][ou]*")
                )
                raise RuntimeError(f"{otherwise}\n{logs}")
            time.sleep(0.2)

    def cancel_all(self) -> None:
        """Ends all jobs at once."""
        for options in (["--signal=KILL"], ["--state=PENDING"], []):
            self.ask("scancel", *options, f"--user={getpass.getuser()}")

    def stop(self) -> None:
        """Ends the jobs and the daemons."""
        if len(self._processes) > 1:
            self.cancel_all()
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
