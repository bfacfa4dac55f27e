"""Five papers and two studies of our own, each a package: `python -m experiments` lists them."""
