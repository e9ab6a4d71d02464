"""What stores the journal: one package a database."""
