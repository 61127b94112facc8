"""The pipeline on a Kubeflow cluster."""
