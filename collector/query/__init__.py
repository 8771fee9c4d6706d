"""The reading side: the lake's tables and views declared to engines (`ddl`), and DuckDB over them (`sql`)."""
