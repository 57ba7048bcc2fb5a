"""Ablations: the variants of a table times its seeds, trained, scored and compared."""
