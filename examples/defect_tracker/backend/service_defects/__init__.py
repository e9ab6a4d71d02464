"""Defects of projects."""
