"""Jets, their substructure and their truth labels."""
