"""The parent of the reading processes: asks, waits, and judges."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
#: limits of one file
MOST_SECONDS, MOST_MB = 10.0, 1000.0
#: the memory that earlier files left in the process is not the next one's
_RESTART_MB = 400.0
_PATIENCE = 4  # times the limit, on a busy machine
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        verdict: "read" or "refused", which are good; else what is wrong.
        said: message, or what was read.
        seconds: it took.
        peak: largest memory of the process [MB].
        where: the innermost frames of an error.
        trace: traceback.
    """

    verdict: str
    said: str
    seconds: float = 0.0
    peak: float = 0.0
    where: str = ""
    trace: str = ""

    @property
    def good(self):
        return self.verdict in ("read", "refused")


class Reader:
    """A process that reads; started anew when it has died."""

    def __init__(self):
        self._process = None
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "stderr"

    def ask(self, request):
        """What the process says of a request, within the limits."""
        process = self._running()
        before = self._log.stat().st_size
        begun = time.monotonic()
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        if not self._answers(process):
            # where it hangs, as faulthandler tells it
            process.send_signal(signal.SIGABRT)
            process.wait(timeout=30)
            return self._dead(before, f"hang over {MOST_SECONDS:.0f} s", begun)
        line = process.stdout.readline()
        if not line:
            process.wait(timeout=30)
            return self._dead(before, f"crash, exit {process.returncode}", begun)
        answer = json.loads(line)
        if answer["left"] > _RESTART_MB:
            self.close()
        return judged(answer, request)

    def _answers(self, process):
        """Whether it does in time: of the processor, which others may use too; or far too late."""
        used = cpu_seconds(process.pid)
        for _ in range(_PATIENCE):
            if select.select([process.stdout], [], [], MOST_SECONDS)[0]:
                return True
            if cpu_seconds(process.pid) - used > MOST_SECONDS:
                return False
        return False

    def _dead(self, before, verdict, begun):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = None
        with self._log.open("rb") as file:
            file.seek(before)
            trace = file.read().decode(errors="replace")[-6000:]
        frames = [line.split('"')[1].rsplit("/", 1)[-1] + ":" + line.split("line ")[1].split()[0]
                  for line in trace.splitlines() if line.startswith("  File")]  # fmt: skip
        said = next((line for line in trace.splitlines() if line.strip()), "")
        return Outcome(verdict, said, time.monotonic() - begun, 0, " < ".join(frames[:6]), trace)

    def _running(self):
        if self._process is None:
            environment = os.environ | dict.fromkeys(_THREADS, "1")
            environment |= {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "fuzz.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=self._folder.name,
                    env=environment,
                    text=True,
                )
            self._warm_up()
        return self._process

    def _warm_up(self):
        """Load what is loaded once, out of the time of the first file."""
        path = Path(self._folder.name) / "warm.csv"
        path.write_text("x,y\n1,2\n")
        self._process.stdin.write(
            json.dumps({"do": "read", "path": str(path), "number": 0}) + "\n"
        )
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError(
                f"the reading process does not start: {self._log.read_text()[-500:]}"
            )

    def close(self):
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait(timeout=30)
            self._process.stdout.close()
            self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self._folder.cleanup()


def cpu_seconds(pid):
    """Time of the processor that a process has used; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def judged(answer, request):
    """Good, or what is wrong with an answer."""
    said = answer["said"]
    if answer["deeds"]:
        verdict = f"forbidden deed: {'; '.join(answer['deeds'])[:200]}"
    elif answer["peak"] > MOST_MB:
        verdict = f"memory {answer['peak']:.0f} MB"
    elif answer["error"] is None:
        verdict = "read"
    elif not answer["clear"]:
        verdict = f"raises {answer['error']}"
    elif len(said.splitlines()) != 1 or len(said) > 1500:
        verdict = f"{answer['error']} of {len(said.splitlines())} lines, {len(said)} characters"
    elif not any(Path(request.get(key, "?")).name in said for key in ("path", "out")):
        verdict = f"{answer['error']} that does not name the file"
    else:
        verdict = "refused"
    return Outcome(
        verdict, said, answer["seconds"], answer["peak"], answer["where"], answer.get("trace", "")
    )
