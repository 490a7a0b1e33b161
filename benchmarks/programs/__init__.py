"""What is measured: each of these is run in a process of its own and prints what came of it as JSON."""
