"""The ladder VAE of Hierarchical DivNoising."""
