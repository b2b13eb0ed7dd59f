"""The HTTP servers that carry our applications; each file is the only one that imports its vendor."""
