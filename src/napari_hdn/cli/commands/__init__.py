"""One module a command: its options, their help, and what it does with them."""
