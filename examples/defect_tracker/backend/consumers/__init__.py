"""Those who listen to the services' events."""
