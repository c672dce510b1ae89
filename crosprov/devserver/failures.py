"""What the dev server cannot do for a client, as a status of HTTP and one sentence."""

from __future__ import annotations


class Refused(Exception):
    """Say why a request is not carried out.

    `status` is a status of HTTP: 4xx when the client can mend it, 5xx when it cannot.
    `sentence` is one line for people; it holds no secret and no traceback.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
