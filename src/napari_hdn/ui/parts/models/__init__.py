"""Choosing models, listing them, comparing them, and what is kept with each."""
