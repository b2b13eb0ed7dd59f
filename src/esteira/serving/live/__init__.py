"""What is in memory and how it changes: loading, agreeing, swapping, leaving."""
