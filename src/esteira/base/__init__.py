"""What every room stands on: errors, records, ports, settings, clock, logs, durable files."""
