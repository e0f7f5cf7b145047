"""Pictures, one module per kind; each is reached only by the stages that draw it, so a new look re-trains nothing."""
