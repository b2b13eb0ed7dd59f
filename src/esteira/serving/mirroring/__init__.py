"""What a worker does for versions that are asked besides: it mirrors requests that it has answered."""
