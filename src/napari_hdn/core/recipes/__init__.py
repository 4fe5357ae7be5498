"""Recipes: what was done to which images, so that it can be told and done again."""
