"""Synthetic tissue with exact ground truth in H&E and IHC, and in the official layouts of three data sets."""

from .layouts import write_all as write_all
from .layouts import write_bci as write_bci
from .layouts import write_endonuke as write_endonuke
from .layouts import write_pannuke as write_pannuke
from .sample import draw as draw
