"""Kubernetes objects as `kubectl kustomize` prints them, and what must be true of them."""
