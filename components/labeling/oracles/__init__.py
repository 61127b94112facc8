"""The oracles, one small file each; client libraries are imported only when one connects."""
