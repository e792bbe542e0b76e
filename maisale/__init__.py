"""Mai-Sale: a team's chat over its own documents and conversations."""

__version__ = "0.1.0"
