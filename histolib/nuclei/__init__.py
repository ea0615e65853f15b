"""Nuclei room: HoVer-Net, its targets, losses and post-processing, and the classical detector."""
