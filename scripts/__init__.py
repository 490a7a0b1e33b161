"""What `make` runs. None of it is part of the package."""
