"""On-demand transforms: one function in a small part of Python, for columns and for one row."""
