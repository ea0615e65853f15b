"""Metrics shared by all rooms: arrays in, numbers out."""
