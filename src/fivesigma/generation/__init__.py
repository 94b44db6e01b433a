"""Collisions: the process catalogue, PYTHIA 8 as a seeded source of events, pile-up."""
