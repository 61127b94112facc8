"""The operator: what Filter objects ask for is done, and their status says how far it is."""
