"""Translation room: CycleGAN between IHC and H&E, and the classical recolourings it must beat."""
