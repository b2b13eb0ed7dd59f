"""The ways in which one model scores the same rows, each measured in processes of its own."""
