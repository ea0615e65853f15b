"""Synthetic tissue with exact truth, in H&E and in IHC, and in the official layouts of the three data sets."""

from histolib.data.phantom.layouts import write_all as write_all
from histolib.data.phantom.layouts import write_bci as write_bci
from histolib.data.phantom.layouts import write_endonuke as write_endonuke
from histolib.data.phantom.layouts import write_pannuke as write_pannuke
from histolib.data.phantom.sample import PhantomSample as PhantomSample
from histolib.data.phantom.sample import draw as draw
