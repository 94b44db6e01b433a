"""Signals of the calorimeters: showers of particles, their energy in cells, the readout."""
