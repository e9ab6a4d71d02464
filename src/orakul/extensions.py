"""The only reader of entry points."""
