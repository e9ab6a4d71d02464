"""One file a version; its SQL beside it."""
