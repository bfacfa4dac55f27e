"""The version, where every row can read it: the package itself imports all of them."""

__version__ = "0.1.0"
