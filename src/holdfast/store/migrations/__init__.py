"""Alembic's folder: each version is a thin Python file that runs the plain SQL files beside it."""
