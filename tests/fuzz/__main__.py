"""Fuzz from the command line: `python -m fuzz -n 4000`, `python -m fuzz --case 1234`."""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fuzz import corpus
from fuzz.cases import Cases
from fuzz.reader import Outcome, Reader


def run(cases, numbers, keep=None, say=lambda text: None):
    """Outcomes of cases by number; files of failures are kept."""
    found = {}
    with Reader() as reader:
        for number in numbers:
            case = cases(number)
            outcome = reader.ask(case.request)
            if number % 500 == 499:
                say(f"... {number + 1}")
            if not cases.is_untouched():
                outcome = Outcome("changed files outside of the target", outcome.said)
            found[number] = case, outcome
            if not outcome.good:
                say(f"{case.name}\n    {outcome.verdict}: {outcome.said[:300]}\n"
                    f"    at {outcome.where}")  # fmt: skip
                if keep is not None:
                    shutil.rmtree(keep / str(number), ignore_errors=True)
                    shutil.copytree(cases.folder / "work", keep / str(number), symlinks=True)
    return found


def summary(found):
    """Counts by kind and verdict, the slowest and the largest."""
    counts = Counter((case.kind, outcome.verdict[:60]) for case, outcome in found.values())
    lines = [f"{kind:12} {n:5} {verdict}" for (kind, verdict), n in sorted(counts.items())]
    for what in ("seconds", "peak"):
        most = sorted(found.values(), key=lambda each: -getattr(each[1], what))[:5]
        lines += [f"{getattr(outcome, what):8.1f} {what}: {case.name}" for case, outcome in most]
    bad = sum(not outcome.good for _, outcome in found.values())
    return "\n".join([*lines, f"{len(found)} cases, {bad} failures"])


def main():
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("-n", type=int, default=4000, help="cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="this case alone, with its traceback")
    parser.add_argument("--kind", action="append", choices=corpus.KINDS, help="these alone")
    parser.add_argument("--keep", type=Path, help="folder for the files of failures")
    chosen = parser.parse_args()
    single = chosen.case is not None
    numbers = [chosen.case] if single else range(chosen.first, chosen.first + chosen.n)

    def say(text):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        cases, begun = Cases(Path(folder), corpus.real_folder(), chosen.kind), time.monotonic()
        found = run(cases, numbers, chosen.keep, say)
    if single:
        case, outcome = found[chosen.case]
        say(f"{case.name}\n{case.request}\n{outcome.verdict}: {outcome.said}\n{outcome.trace}")
    say(f"{summary(found)} in {time.monotonic() - begun:.0f} s")
    return int(any(not outcome.good for _, outcome in found.values()))


if __name__ == "__main__":
    sys.exit(main())
