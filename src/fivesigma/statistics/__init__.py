"""Likelihoods, fits, limits, toys."""
