"""fivesigma: from collisions to a discovery significance, with machine learning at every step.

The verbs of the command line are the functions of this package; each is imported when first used.

Example:
    >>> import fivesigma
    >>> "train" in dir(fivesigma)
    True
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: public name -> module
_NAMES = {
    "analyse": "fivesigma.workflows.analyse",
    "cite": "fivesigma.workflows.cite",
    "classifier": "fivesigma.workflows.classifier",
    "compare": "fivesigma.workflows.evaluate",
    "convert": "fivesigma.workflows.convert",
    "demo": "fivesigma.workflows.demo",
    "discovery": "fivesigma.workflows.discovery",
    "efficiency": "fivesigma.workflows.efficiency",
    "evaluate": "fivesigma.workflows.evaluate",
    "export": "fivesigma.workflows.export",
    "fit": "fivesigma.workflows.inference",
    "generate": "fivesigma.workflows.generate",
    "import_": "fivesigma.workflows.imported",
    "info": "fivesigma.workflows.info",
    "inspect": "fivesigma.workflows.inspect",
    "limit": "fivesigma.workflows.inference",
    "load_run": "fivesigma.runs",
    "open_file": "fivesigma.formats",
    "predict": "fivesigma.workflows.predict",
    "prune": "fivesigma.workflows.prune",
    "rank": "fivesigma.workflows.rank",
    "read": "fivesigma.formats",
    "reconstruct": "fivesigma.workflows.reconstruct",
    "report": "fivesigma.workflows.report",
    "run_analysis": "fivesigma.workflows.analyse",
    "select": "fivesigma.workflows.analyse",
    "significance": "fivesigma.workflows.inference",
    "simulate": "fivesigma.workflows.simulate",
    "spectrum": "fivesigma.workflows.spectrum",
    "templates": "fivesigma.workflows.analyse",
    "train": "fivesigma.workflows.train",
    "tune": "fivesigma.workflows.tune",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        message = f"module 'fivesigma' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
