"""The forms of files: CSV, Parquet, JSON Lines (contract: `exports/format.py`)."""
