"""A reference client, and mutants of it that the cases must notice."""
