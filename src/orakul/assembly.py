"""Settings to parts: the only place where they are joined."""
