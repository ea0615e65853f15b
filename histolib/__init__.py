"""Helper library of the course: from an IHC patch, through a translated H&E, to nucleus centroids."""

__version__ = "0.1.0"
