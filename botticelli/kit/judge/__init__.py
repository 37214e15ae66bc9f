"""The judge: compare what was wanted with what came."""
