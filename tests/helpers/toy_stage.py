"""Events without physics and a stage that adds lists to them; importable by workers."""

import awkward as ak
import numpy as np

from fivesigma.datasets import Shard


def make_events(index):
    number = np.arange(5, dtype=np.uint64) + 100 * index
    return Shard({"event": ak.zip({"event": number})})


def count_hits(index, factor=1, broken=()):
    if index in broken:
        message = "no such luck"
        raise ValueError(message)
    counts = np.arange(5)
    layer = np.arange(counts.sum()) * factor + index
    return {
        "hits": ak.unflatten(ak.zip({"layer": layer}), counts),
        "cells": ak.unflatten(ak.zip({"depth": layer, "truth": [[1, 2]] * len(layer)}), counts),
    }
