"""Where pipelines report: a product a file."""
