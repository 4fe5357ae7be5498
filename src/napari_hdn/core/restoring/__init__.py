"""Restoring: tiles with a halo, posterior samples, and what is made of them."""
