"""A table of the project scored in chunks, resumable, into another table."""
