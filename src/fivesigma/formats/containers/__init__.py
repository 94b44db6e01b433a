"""Kinds of file, each opened as tables of columns."""
