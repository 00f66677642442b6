"""What goes wrong with data files."""


class DataError(Exception):
    """A data set is missing or damaged; the message names the file and says how to get it."""
