"""The only reader of `orakul.toml` and the environment."""
