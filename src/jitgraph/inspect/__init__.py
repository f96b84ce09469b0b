"""What people look at: compiled functions as text, and the state of the installation."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do what it was asked; the message is one sentence for the user.

    status: the exit code: 1 a problem was found, 2 the request is wrong or was refused.
    """

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status
