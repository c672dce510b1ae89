"""The few of Django's names that programs given to `manage.py shell` and `python3 -` use.

In the image, `django.setup`, `django.contrib.auth.models.User`, `get_user_model`,
`authenticate`, `hashers.check_password`, `hashers.make_password` and
`backend.models.TemporaryUploadedFile` come from here.
"""

from __future__ import annotations

from crosprov.twin.factory import places
from crosprov.twin.factory.dome.accounts import Accounts, check_password, make_password
from crosprov.twin.factory.dome.uploads import Uploads


class User:
    """An account, by its name."""

    objects: _Users

    class DoesNotExist(Exception):
        """There is no such account."""

    def __init__(self, username: str, password: str) -> None:
        self.username = username
        self.password = password

    def check_password(self, password: str) -> bool:
        return check_password(password, self.password)

    def set_password(self, password: str) -> None:
        self.password = make_password(password)

    def save(self, update_fields: object = None) -> None:
        del update_fields
        if not Accounts(places.DATABASE).store_password(self.username, self.password):
            raise self.DoesNotExist("User matching query does not exist.")


class _Users:
    def get(self, username: str) -> User:
        try:
            return User(username, Accounts(places.DATABASE).encoded(username))
        except LookupError:
            raise User.DoesNotExist("User matching query does not exist.") from None

    def get_by_natural_key(self, username: str) -> User:
        return self.get(username)

    def filter(self, username: str) -> _Found:
        try:
            return _Found([self.get(username)])
        except User.DoesNotExist:
            return _Found([])


class _Found(list[User]):
    def first(self) -> User | None:
        return self[0] if self else None

    def exists(self) -> bool:
        return bool(self)


User.objects = _Users()


def get_user_model() -> type[User]:
    return User


def authenticate(request: object = None, username: str = "", password: str = "") -> User | None:
    """Return the account when the password is its own, else None."""
    del request
    found = User.objects.filter(username=username).first()
    return found if found and found.check_password(password) else None


class TemporaryUploadedFile:
    """The rows of uploaded files."""

    class objects:
        @staticmethod
        def all() -> TemporaryUploadedFile:
            return TemporaryUploadedFile()

    def delete(self) -> None:
        Uploads(places.DATABASE, places.UPLOADS).forget_all()
