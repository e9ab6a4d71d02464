"""Where exports read from: one file each, by the scheme of their URLs (contract: `exports/source.py`)."""
