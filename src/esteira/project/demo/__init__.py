"""The demo: the ring on real flights, in one command."""
