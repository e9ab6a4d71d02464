"""The defect tracker: two services behind one address, and what listens to their events."""
