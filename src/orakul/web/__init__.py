"""The web application: REST, the stream, the interface."""
