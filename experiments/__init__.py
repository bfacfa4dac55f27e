"""Five papers and a study of our own, each a package: `python -m experiments` lists them."""
