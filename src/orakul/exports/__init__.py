"""Exports: groups → scripts → variants → files."""
