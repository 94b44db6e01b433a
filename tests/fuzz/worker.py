"""The process that reads damaged files: one request a line in JSON, one answer a line.

It watches itself: files opened for writing outside of where it may, unpickling, programs started
and connections are noted, whatever the readers make of it.
"""

import faulthandler
import gc
import json
import os
import pickle
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma.formats import open_file
from fivesigma.formats.containers.root import read_histograms
from fivesigma.formats.writers import write
from fivesigma.workflows.convert import convert

#: address space: what asks for more gets a MemoryError, not the machine's memory [bytes]
ADDRESS_SPACE = 6 * 1024**3
#: a value that is in files beside the target only: who reads it has followed a link [see hostile]
SECRET = 0.70710678125
_STEP = "20 MB"
_MOST_FIELDS = 40
_SECONDS = 4.0  # of reading in steps, after which the rest of a large file is left
_FORBIDDEN = (
    *("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork"),
    *("subprocess.Popen", "socket.connect", "socket.getaddrinfo", "shutil.rmtree"),
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """What the interpreter tells of dangerous deeds."""

    def __init__(self):
        self.deeds, self.allowed, self.on = [], "", False
        sys.addaudithook(self)

    def __call__(self, event, args):
        if not self.on:
            return
        if event == "shutil.rmtree" and self.may(args[0]):
            return
        if event in _FORBIDDEN and not by_libraries_themselves(event):
            self.deeds.append(f"{event} {str(args)[:120]}")
        elif event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            path = os.fsdecode(args[0])
            harmless = path == os.devnull or self.may(path)
            if args[2] & _WRITES and not harmless and not by_libraries_themselves(event):
                self.deeds.append(f"opened {path} for writing")

    def may(self, path):
        """Whether a file may be written here, wherever links lead."""
        return bool(self.allowed) and os.path.realpath(path).startswith(self.allowed)


def by_libraries_themselves(event):
    """Whether it is Numba, which keeps its own functions; or somebody asks for the processor."""
    frame, modules = sys._getframe(2), set()
    while frame is not None:
        modules.add(frame.f_globals.get("__name__", "").split(".")[0])
        frame = frame.f_back
    return "platform" in modules or (event in ("pickle.find_class", "open") and "numba" in modules)


def status(name):
    """VmHWM or VmRSS of this process [MB]."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def read_file(request):
    """Open, and read in steps; what is read must be as long as said, and a valid array."""
    rng = np.random.default_rng(request["number"])
    with open_file(request["path"], mapping=request.get("mapping")) as source:
        columns = None
        if len(source.fields) > _MOST_FIELDS:
            columns = list(rng.choice(source.fields, _MOST_FIELDS, replace=False))
        if request.get("secret"):
            forbid_secret(source.read(columns, stop=100))
        begun, total = time.monotonic(), 0
        for events in source.iterate(columns, step=_STEP):
            check(ak.validity_error(events) == "", f"invalid: {ak.validity_error(events)}")
            total += len(events)
            if time.monotonic() - begun > _SECONDS:
                break
        else:
            check(total == source.entries, f"{total} entries read, it has {source.entries}")
        return f"{source.format}: {total} of {source.entries} {source.kind}"


def check(holds, message):
    if not holds:
        raise AssertionError(message)


def forbid_secret(events):
    for name in ak.fields(events):
        forbid_secret(events[name])
    if not ak.fields(events) and "float" in str(ak.type(events)):
        check(not ak.any(ak.flatten(events, axis=None) == SECRET), "read a file beside the target")


def read_all_histograms(request):
    found = read_histograms(request["path"])
    for name, each in found.items():
        values = np.asarray(each.values(flow=True))
        check(values.shape == each.axes.extent, f"{name}: {values.shape}, {each.axes.extent}")
    return f"{len(found)} histograms"


def write_file(request):
    events = ak.zip({"a": ak.zip({"x": np.arange(5.0)})}, depth_limit=1)
    write(events, request["path"], kind="events", format=request["format"], overwrite=True)
    return "written"


def convert_file(request):
    done = convert(
        [request["path"]],
        out=Path(request["out"]),
        to=request.get("format"),
        overwrite=request["overwrite"],
        quiet=True,
    )
    return f"{done.written} of {done.read} written"


def two_lines():
    raise ValueError("one\ntwo")


def provoke(request):
    """Do what no reader may do: a test of the fuzzer itself."""
    deeds = {
        "unpickle": lambda: pickle.loads(pickle.dumps(Path)),
        "memory": lambda: np.ones(150_000_000).sum(),
        "nameless": lambda: int("x"),
        "key": lambda: {}["x"],
        "lines": two_lines,
        "die": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "write": lambda: Path(request["path"]).write_text("x"),
        "run": lambda: os.system("true"),
    }
    return str(deeds[request["what"]]())


DEEDS = {
    "provoke": provoke,
    "read": read_file,
    "histograms": read_all_histograms,
    "write": write_file,
    "convert": convert_file,
}


def answer(request, watch):
    """What became of a request."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the largest size so far
    watch.deeds, watch.allowed = [], request.get("allowed", "")
    begun = time.monotonic()
    found = {"error": None, "where": ""}
    watch.on = True
    try:
        found["said"] = DEEDS[request["do"]](request)
    except BaseException as error:  # noqa: BLE001 (that is what it is for)
        frames = traceback.extract_tb(error.__traceback__)
        found |= {
            "error": type(error).__name__,
            "clear": isinstance(error, ValueError | OSError | EOFError),
            "said": str(error),
            "where": " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames[:-5:-1]),
            "trace": traceback.format_exc()[-6000:],
        }
        error.__traceback__ = None
    watch.on = False
    found |= {"deeds": watch.deeds, "seconds": time.monotonic() - begun, "peak": status("VmHWM")}
    gc.collect()
    gc.freeze()  # all modules, which would be searched after every file
    return found | {"left": status("VmRSS")}


def main():
    faulthandler.enable()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    watch, out = Watch(), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line), watch)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
