"""Five papers, each a package: `python -m experiments` lists them."""
