"""The command line: a table of verbs, each a function of the API; only what runs is imported."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from keyword import iskeyword
from typing import Any, get_type_hints

__all__ = ["VERBS", "main"]

#: verb, of one word or two -> (module, what it does); the function has the name of the last word,
#: `import_` that of `import`
VERBS = {
    "demo": ("fivesigma.workflows.demo", "the whole chain: collisions, jets, taggers, report"),
    "demo discovery": ("fivesigma.workflows.discovery", "a Z' in dijets, by the demo's taggers"),
    "generate": ("fivesigma.workflows.generate", "collisions, or labelled jets by a recipe"),
    "simulate": ("fivesigma.workflows.simulate", "hits, cells, segments that events leave"),
    "validate detector": (
        "fivesigma.workflows.validate",
        "a detector against its references, figure by figure",
    ),
    "reconstruct": (
        "fivesigma.workflows.reconstruct",
        "tracks, particles, leptons, jets, missing momentum of signals",
    ),
    "convert": ("fivesigma.workflows.convert", "files of any format into a dataset or another"),
    "train": ("fivesigma.workflows.train", "a tagger from a dataset of labelled jets"),
    "train classifier": (
        "fivesigma.workflows.classifier",
        "signal against background events, in folds",
    ),
    "evaluate": ("fivesigma.workflows.evaluate", "figures of merit of a tagger"),
    "predict": ("fivesigma.workflows.predict", "a tagger's scores for a dataset or for files"),
    "rank": ("fivesigma.workflows.rank", "many taggers in one table"),
    "tune": ("fivesigma.workflows.tune", "the options of a tagger that learn best"),
    "efficiency": ("fivesigma.workflows.efficiency", "a tagger against its training jets"),
    "import": ("fivesigma.workflows.imported", "weights that other programs trained, as a run"),
    "export": ("fivesigma.workflows.export", "a tagger as one ONNX file"),
    "prune": ("fivesigma.workflows.prune", "a tagger with fewer weights"),
    "compare": ("fivesigma.workflows.evaluate", "two taggers on the same jets"),
    "report": ("fivesigma.workflows.report", "one HTML page on data and taggers"),
    "inspect": ("fivesigma.workflows.inspect", "what files hold, and what is wrong with them"),
    "select": ("fivesigma.workflows.analyse", "an analysis: its selection, cut-flow, histograms"),
    "templates": ("fivesigma.workflows.analyse", "an analysis: templates and workspace"),
    "analyse": ("fivesigma.workflows.analyse", "an analysis: all steps, from files to results"),
    "fit": ("fivesigma.workflows.inference", "a workspace: signal strength, pulls, impacts"),
    "significance": ("fivesigma.workflows.inference", "discovery significance, also by toys"),
    "limit": ("fivesigma.workflows.inference", "CLs upper limit with bands"),
    "spectrum": ("fivesigma.workflows.spectrum", "peaks in a mass spectrum, fitted"),
    "cite": ("fivesigma.workflows.cite", "what to cite for a run, a dataset, an analysis ..."),
    "info": (
        "fivesigma.workflows.info",
        "versions, processes, recipes, models; or one dataset or run",
    ),
}
_LISTS = ("collections.abc.Sequence[", "typing.Sequence[")
_ALONE = ("-h", "--help", "--print_config")
_USAGE = """usage: fivesigma VERB [options]     (fivesigma VERB --help tells the options)

From collisions to a discovery significance, with machine learning at every step.

{verbs}

First steps:
  fivesigma demo                                                  the whole chain in minutes
  fivesigma generate data/top --recipe top-tagging --jets 6000    jets of top quarks and of QCD
  fivesigma train runs/pfn --data data/top --model pfn            a tagger
  fivesigma evaluate runs/pfn --data data/top                     how good it is
  fivesigma demo discovery                                        a resonance found with it
  fivesigma inspect FILE                                          what a file of yours holds
  fivesigma convert FILE --out data/mine                          a dataset of it"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: the words after `fivesigma`; default: those of the process.

    Returns:
        Exit status: 0 success, 1 failure, 2 a user's mistake, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_USAGE.format(verbs="\n".join(f"  {v:18s}{t}" for v, (_, t) in VERBS.items())))
        return 0 if words else 2
    length = 2 if " ".join(words[:2]) in VERBS else 1
    verb, rest = " ".join(words[:length]), words[length:]
    if verb == "--version":
        print(version("fivesigma"))
        return 0
    if verb not in VERBS:
        return _complain(f"unknown verb {verb!r}; choose from {', '.join(VERBS)}", 2)
    try:
        return _run(verb, rest)
    except KeyboardInterrupt:
        return _complain(f"{verb}: interrupted; repeat the command to go on", 130)
    except (ValueError, FileNotFoundError, FileExistsError, ModuleNotFoundError) as error:
        return _complain(f"{verb}: {error}", 2)
    except BrokenPipeError:  # what reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, RuntimeError) as error:
        return _complain(f"{verb}: {error}", 1)


def _run(verb: str, words: list[str]) -> int:
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import (
        ArgumentError,
        ArgumentParser,
        DefaultHelpFormatter,
        set_parsing_settings,
    )

    from fivesigma.workflows.summaries import SUMMARIES

    name = verb.split()[-1]
    function = getattr(import_module(VERBS[verb][0]), name + "_" * iskeyword(name))
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    layout = type("Help", (DefaultHelpFormatter, RawDescriptionHelpFormatter), {})
    parser = ArgumentParser(
        prog=f"fivesigma {verb}",
        usage=_usage(verb, function),
        description=_described(function),
        formatter_class=layout,
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with any of the options")
    parser.add_function_arguments(function, sub_configs=True)
    try:
        chosen = parser.parse_args(_named(words, function))
        options = parser.instantiate(chosen)
    except ArgumentError as error:
        text = " ".join(str(error).split()).replace("Parser key", "option")
        return _complain(f"{verb}: {text}  (fivesigma {verb} --help)", 2)
    result = function(**{k: v for k, v in vars(options).items() if k != "config"})
    # quiet or not, JSON is what was asked for
    if getattr(options, "json", False) or not getattr(options, "quiet", False):
        for line in SUMMARIES[verb](result, options):
            print(line)
    return 0


def _described(function: Callable[..., Any]) -> str:
    """The docstring up to the list of arguments."""
    return (inspect.getdoc(function) or "").split("\nArgs:")[0]


def _usage(verb: str, function: Callable[..., Any]) -> str:
    """What must be given; all else is listed below it."""
    parts = [f"fivesigma {verb}"]
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.POSITIONAL_OR_KEYWORD:
            name = each.name.upper()
            parts.append(name if each.default is each.empty else f"[{name}]")
        elif each.default is each.empty:
            parts.append(f"--{each.name} {each.name.upper()}")
    return " ".join([*parts, "[options]"])


def _named(words: list[str], function: Callable[..., Any]) -> list[str]:
    """Write words without a name as options, and give flags their value."""
    parameters = inspect.signature(function).parameters.values()
    free = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    hints = get_type_hints(function)
    several = {name for name, hint in hints.items() if str(hint).startswith(_LISTS)}
    flags = {f"--{name}" for name, hint in hints.items() if hint is bool}
    named: list[str] = []
    loose: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        follows = words[index + 1] if index + 1 < len(words) else ""
        if word in flags and follows not in ("true", "false"):
            named.append(f"{word}=true")
        elif not word.startswith("--") and word not in _ALONE:
            loose.append(word)
        elif word in _ALONE or "=" in word:
            named.append(word)
        elif word[2:] in several and not follows.startswith("["):
            named.append(f"{word}={_listed(follows.split(','))}")
            index += 1
        else:
            named += [word, follows] if index + 1 < len(words) else [word]
            index += 1
        index += 1
    for position, name in enumerate(free):
        taken = loose[position:] if name in several else loose[position : position + 1]
        if taken:
            named.append(f"--{name}={_listed(taken) if name in several else taken[0]}")
    spare = [] if several & set(free) else loose[len(free) :]
    return named + spare


def _listed(words: list[str]) -> str:
    import json

    return json.dumps(words)


def _complain(text: str, status: int) -> int:
    print(f"fivesigma {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
