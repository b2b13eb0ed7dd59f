"""The process that asks the shadows of a gateway worker what the worker has answered."""
