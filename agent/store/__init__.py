"""What survives a restart: SQLite through SQLAlchemy, its schema through Alembic. One writer: the daemon's store thread."""
