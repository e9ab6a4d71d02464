"""What executes tasks and can be told to run again, cancel, pause: one package a product."""
