"""A small network, taught by samples of a trained model, that restores in one cheap pass."""
