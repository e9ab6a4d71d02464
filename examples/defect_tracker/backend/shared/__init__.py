"""What the services have in common: who asks, the database, lists."""
