"""Ways of judging a column before, or after, a model learns from it."""
