"""Data room: readers of the official layouts, downloads and phantom tissue."""
