"""Files that are hostile on purpose, in a fixed order."""

from fuzz.hostile import archives, texts, yamls, hdf5, arrows, roots, folders, outputs  # noqa: F401, I001
from fuzz.hostile.registry import HOSTILE, Hostile, set_trap

__all__ = ["HOSTILE", "Hostile", "set_trap"]
