"""Where particles come from: one module per kind of source that reads files."""
