"""The gateway over gRPC, an extra in a process of its own."""
