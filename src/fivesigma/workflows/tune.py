"""`fivesigma tune`: the options of a tagger and its training that learn best."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from fivesigma.models import options_of
from fivesigma.progress import Progress
from fivesigma.report import write_results
from fivesigma.results import Number, Result, Table
from fivesigma.storage import canonical, locked, write_file
from fivesigma.training import Training, fit
from fivesigma.workflows.caches import open_jets, split_caches
from fivesigma.workflows.train import inputs_of

__all__ = ["SPACE", "tune"]

#: what is searched unless something else is asked for
SPACE: dict[str, dict[str, Any]] = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "training.weight_decay": {"low": 1e-4, "high": 0.1, "log": True},
    "training.batch_size": {"choices": [128, 256, 512]},
}
#: a search ends after so many trials that failed
_MOST_FAILURES = 5
_JOURNAL, _BEST = "trials.log", "best.yaml"


@dataclass(frozen=True)
class _Study:
    """What all trials have in common."""

    out: Path
    data: Path
    model: str
    training: Training
    options: Mapping[str, Any]
    inputs: Mapping[str, Any]
    space: Mapping[str, Mapping[str, Any]]
    seed: int


def tune(
    out: Path,
    *,
    data: Path,
    model: str = "pfn",
    trials: int = 20,
    space: dict[str, dict[str, Any]] | None = None,
    training: Training = Training(epochs=6),  # noqa: B008 (frozen)
    inputs: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    workers: int = 1,
    seed: int = 0,
    quiet: bool = False,
) -> Result:
    """Search for the options that learn best: the smallest validation loss.

    Trials are drawn by the tree-structured Parzen estimator of optuna (extra `tune`); those that
    do worse than the median of the others at the same epoch end early. Repeating the command goes
    on: an interrupted trial resumes its training. The test jets are never looked at.

    Examples:
        fivesigma tune tuning/pfn --data data/top --model pfn --trials 30
        fivesigma tune tuning/wide --data data/top --model pfn \\
            --space '{options.dropout: {low: 0.0, high: 0.3}}'

    Args:
        out: folder of the search; its `best.yaml` is a configuration for `fivesigma train`.
        data: dataset of labelled jets.
        model: as for `train`.
        trials: how many in all, those of earlier calls included.
        space: name -> {low, high, log, step} or {choices}; names are `training.` and an option of
            the training, `options.` and one of the architecture, or `inputs.` and one of what the
            model sees. Bounds that are whole numbers give whole numbers.
        training: of each trial, where the space says nothing.
        inputs: what the model sees, where it differs from its default.
        options: of the architecture, likewise.
        workers: trials at a time, each in a process with its share of the threads.
        seed: of the search.
        quiet: show no progress.

    Returns:
        The best trial, all trials, and how much each option matters.

    Raises:
        ValueError: a space that makes no sense, unknown names, or unfit data.
    """
    study = _Study(out, data, model, training, options or {}, inputs or {}, space or SPACE, seed)
    _check(study, trials, workers)
    with locked(out):
        made = _opened(study)
        _requeue(made)
        begun = len([trial for trial in made.trials if trial.state.is_finished()])
        with Progress(f"tuning {model}", trials, "trials", quiet=quiet) as bar:
            if workers == 1:
                _work(study, trials, lambda done: bar(done, _note(made)))
            else:
                share = max(1, (training.threads or _threads()) // workers)
                each = replace(study, training=replace(training, threads=share))
                with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                    waiting = [pool.submit(_work, each, trials) for _ in range(workers)]
                    for future in waiting:
                        future.result()
        return _summary(study, made, begun)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        message = "tuning needs optuna; install it with: pip install 'fivesigma[tune]'"
        raise ModuleNotFoundError(message) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what fails is told at the end
    return optuna


def _opened(study: _Study) -> Any:
    """The optuna study; a file that grows, which several processes may write."""
    optuna = _optuna()
    backend = optuna.storages.journal.JournalFileBackend(str(study.out / _JOURNAL))
    return optuna.create_study(
        study_name=_identity(study),
        storage=optuna.storages.JournalStorage(backend),
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=study.seed, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    )


def _identity(study: _Study) -> str:
    """A name that other settings do not share."""
    form = asdict(study) | {"out": "", "data": str(study.data)}
    form["training"] |= {"threads": 0}
    return hashlib.sha256(canonical(form).encode()).hexdigest()[:16]


def _check(study: _Study, trials: int, workers: int) -> None:
    if trials < 1 or workers < 1:
        message = f"got {trials} trials and {workers} workers; need at least 1 of each"
        raise ValueError(message)
    known = {
        "training": list(asdict(study.training)),
        "options": list(options_of(study.model)),
        "inputs": list(inputs_of(study.model).to_dict()),
    }
    for name, kind in study.space.items():
        part, _, option = name.partition(".")
        if option not in known.get(part, ()):
            choices = ", ".join(f"{part}.{each}" for each in known.get(part, ())) or (
                "training., options. or inputs. and an option"
            )
            message = f"space: unknown name {name!r}; choose from {choices}"
            raise ValueError(message)
        if not (set(kind) == {"choices"} or {"low", "high"} <= set(kind) <= _BOUNDS):
            message = f"space: {name}: got {dict(kind)}, need low and high (log, step), or choices"
            raise ValueError(message)


_BOUNDS = {"low", "high", "log", "step"}


def _requeue(made: Any) -> None:
    """Trials that were interrupted come first; their trainings go on where they stopped."""
    optuna = _optuna()
    for trial in made.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        made.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        made.enqueue_trial(trial.params)


def _work(study: _Study, trials: int, heard: Any = None) -> None:
    """Run trials until there are enough; what one process does."""
    optuna = _optuna()
    dataset = open_jets(str(study.data))
    made = _opened(study)
    caches: dict[str, Any] = {}

    def objective(trial: Any) -> float:
        try:
            return learned(trial)
        except ValueError as error:
            trial.set_user_attr("failure", str(error))
            raise

    def learned(trial: Any) -> float:
        chosen = _chosen(study, trial)
        key = canonical(chosen["inputs"])
        if key not in caches:
            caches.clear()  # one at a time, they are large
            wanted = inputs_of(study.model, chosen["inputs"])
            caches[key] = split_caches(dataset, wanted, "train", "validation")

        def follow(line: dict[str, Any]) -> None:
            if line["kind"] == "epoch":
                trial.report(line["validation_loss"], line["epoch"])
                if trial.should_prune() and line["epoch"] < training.epochs:
                    raise optuna.TrialPruned

        training = Training(**chosen["training"])
        name = hashlib.sha256(canonical(chosen).encode()).hexdigest()[:12]
        train, validation = caches[key]
        run = fit(
            *(study.model, train, validation, dataset.classes, study.out / "runs" / name),
            training,
            model_options=chosen["options"],
            progress=follow,
        )
        trial.set_user_attr("run", name)
        return float(run.model_yaml["summary"]["best"]["validation_loss"])

    def enough(made: Any, trial: Any) -> None:
        done = len([each for each in made.trials if _counts(each)])
        if heard:
            heard(min(done, trials))
        failed = len([each for each in made.trials if each.state.is_finished()]) - done
        if done >= trials or failed - failed_before >= _MOST_FAILURES:
            made.stop()

    failed_before = len([each for each in made.trials if each.state.name == "FAIL"])
    if len([each for each in made.trials if _counts(each)]) < trials:
        made.optimize(objective, callbacks=[enough], catch=(ValueError,))


def _counts(trial: Any) -> bool:
    """Whether a trial came to an end of its own: complete or pruned."""
    return trial.state.name in ("COMPLETE", "PRUNED")


def _chosen(study: _Study, trial: Any) -> dict[str, dict[str, Any]]:
    """Settings of a trial: those of the study with the values drawn."""
    chosen: dict[str, dict[str, Any]] = {
        "training": asdict(study.training),
        "options": dict(study.options),
        "inputs": dict(study.inputs),
    }
    for name, kind in study.space.items():
        part, _, option = name.partition(".")
        chosen[part][option] = _draw(trial, name, kind)
    return chosen


def _draw(trial: Any, name: str, kind: Mapping[str, Any]) -> Any:
    if "choices" in kind:  # by number, because optuna takes no lists
        return kind["choices"][trial.suggest_categorical(name, range(len(kind["choices"])))]
    whole = isinstance(kind["low"], int) and isinstance(kind["high"], int)
    step = {"step": kind["step"]} if "step" in kind else {}
    suggest = trial.suggest_int if whole else trial.suggest_float
    return suggest(name, kind["low"], kind["high"], log=kind.get("log", False), **step)


def _note(made: Any) -> str:
    complete = [trial.value for trial in made.trials if trial.state.name == "COMPLETE"]
    return f"smallest validation loss {min(complete):.4f}" if complete else ""


def _summary(study: _Study, made: Any, begun: int) -> Result:
    """The best trial and how much each option matters; writes `best.yaml` and `results.json`."""
    optuna = _optuna()
    complete = [trial for trial in made.trials if trial.state.name == "COMPLETE"]
    if not complete:
        reasons = {trial.user_attrs.get("failure", "interrupted") for trial in made.trials}
        message = f"no trial came to its end; {'; '.join(sorted(reasons))}"
        raise ValueError(message)
    best = made.best_trial
    chosen = _chosen(study, optuna.trial.FixedTrial(best.params))
    config = {"data": str(study.data), "model": study.model, **chosen}
    write_file(study.out / _BEST, yaml.safe_dump(config, sort_keys=False).encode())
    rows = tuple(
        (str(trial.number), trial.state.name.lower())
        + tuple(_shown(study, name, trial.params[name]) for name in study.space)
        + (Number(trial.value) if trial.state.name == "COMPLETE" else "-",)
        for trial in made.trials
        if _counts(trial)
    )
    numbers = {
        "tune/validation_loss": Number(best.value),
        "tune/trials": Number(len(rows)),
        "tune/pruned": Number(sum(trial.state.name == "PRUNED" for trial in made.trials)),
    }
    result = Result(
        f"Tuning {study.model}: trial {best.number} of {len(rows)} is best",
        numbers | _importance(optuna, made, complete),
        tables={"trials": Table(("trial", "state", *study.space, "validation loss"), rows)},
        note=f"{len(rows) - begun} trials in this call. Train it: "
        f"fivesigma train RUN --config {study.out / _BEST}",
    )
    write_results(study.out / "results.json", [result], overwrite=True)
    return result


def _shown(study: _Study, name: str, value: Any) -> str:
    choices = study.space[name].get("choices")
    return str(choices[value]) if choices else f"{value:.4g}"


def _importance(optuna: Any, made: Any, complete: list[Any]) -> dict[str, Number]:
    """Share of the variance of the loss that each option explains; needs a few trials."""
    if len(complete) < 4 or len({trial.value for trial in complete}) < 2:
        return {}
    found = optuna.importance.get_param_importances(
        made, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    return {f"tune/importance/{name}": Number(float(value)) for name, value in found.items()}
