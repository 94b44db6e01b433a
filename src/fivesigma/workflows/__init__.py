"""Whole tasks that join the stages: the verbs of the command line."""
