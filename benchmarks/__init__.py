"""Measures the provider side by side with what its users have today; see `run`."""
