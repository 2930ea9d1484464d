"""The DuckDB catalog of everything recorded: one writer, tables that only grow, coverage, quarantine."""
