"""What each latent level contributes, whether it holds an artefact, and how images are without it."""
