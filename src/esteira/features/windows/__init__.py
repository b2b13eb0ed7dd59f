"""Windows over events: what they count, how they slide, and the same rows at once or as events come."""
