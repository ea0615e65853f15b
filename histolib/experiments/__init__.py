"""Scripts behind the committed results, run as `python -m histolib.experiments.NAME`."""
