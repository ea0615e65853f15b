"""Scripts behind the committed results; run them with `python -m histolib.experiments.NAME`."""
