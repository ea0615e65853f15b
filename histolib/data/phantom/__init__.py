"""Synthetic tissue with exact truth, in H&E and in IHC, and in the official layouts of the three data sets."""

from .layouts import write_all as write_all
from .layouts import write_bci as write_bci
from .layouts import write_endonuke as write_endonuke
from .layouts import write_pannuke as write_pannuke
from .sample import PhantomSample as PhantomSample
from .sample import draw as draw
