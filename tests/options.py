"""Command lines of tests."""


def replacing(usual, words):
    """`words` after those usual options, with their values, that they do not give themselves."""
    kept, given = [], False
    for word in map(str, usual):
        given = word in words if word.startswith("--") else given
        kept += [] if given else [word]
    return [*kept, *map(str, words)]
