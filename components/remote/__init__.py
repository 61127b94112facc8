"""What is far away: which errors to retry and for how long, and the Kubernetes API."""
