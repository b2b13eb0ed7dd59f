"""Load on a server, and what it answered: counts, latencies and throughput."""
