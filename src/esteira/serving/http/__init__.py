"""HTTP: the Open Inference Protocol, MLflow's scoring protocol, labels, health and metrics."""
