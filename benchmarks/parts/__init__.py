"""The measurements that `benchmarks/features.py` puts together, each a process of its own."""
