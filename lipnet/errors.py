"""The one error that users are meant to read: it names the file, the row and the cure."""


class InputError(ValueError):
    """Something that a user gave (file, table row, parameter) cannot be used; the message says what to change."""
