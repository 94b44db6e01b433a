"""Parametrised response of the detector."""
