"""The second engine: documents in PostgreSQL."""
