"""What other systems of observation take in: one file a product."""
