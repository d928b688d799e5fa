"""Amazon DynamoDB: conditions tell who added, replaced and took.

Flask-Session's own reads may be stale, and show items that have expired until DynamoDB
deletes them. Reads here are consistent, and look at the date.
"""

from __future__ import annotations

import math
import typing as t
from datetime import timedelta
from decimal import Decimal
from time import time

from flask import Flask

from .base import RENEWED_AFTER
from .base import AtomicBackend
from .base import Entry
from .base import Loaded
from .base import loaded_errors
from .errors import TooLarge

#: Bytes of an item, with the names of its attributes (AWS: "Constraints in Amazon
#: DynamoDB").
_LIMIT = 400 * 1024
_LIVING = "expiration > :now"
_NONE = "attribute_not_exists(id) OR expiration <= :now"


class DynamoDBBackend(AtomicBackend):
    """Flask-Session's table, one request an operation.

    By the resource's client: boto3's resources are not for several threads.
    """

    def __init__(self, interface: t.Any, app: Flask) -> None:
        super().__init__(interface, app)
        self._client = interface.client.meta.client
        self._table: str = interface.store.name

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return loaded_errors(
            ("botocore.exceptions", "BotoCoreError"),
            ("botocore.exceptions", "ClientError"),
        )

    def read(self, key: str) -> Entry | None:
        return self.decoded(_data(self._get(key)))

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        item = self._get(key)
        data = _data(item)
        if item is None or data is None:
            return Loaded(None)
        end, seconds = time() + lifetime.total_seconds(), lifetime.total_seconds()
        if abs(float(item["expiration"]) - end) > seconds * RENEWED_AFTER:
            self._changed(
                "update_item",
                _LIVING,
                {":end": _moment(lifetime)},
                Key={"id": key},
                UpdateExpression="SET expiration = :end",
            )
        return Loaded(self.decoded(data), data)

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        self._put(key, value, lifetime, "")

    def add(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        return self._put(key, value, lifetime, _NONE)

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        return self._put(key, value, lifetime, _LIVING)

    def remove(self, key: str) -> None:
        self._client.delete_item(TableName=self._table, Key={"id": key})

    def take(self, key: str) -> Entry | None:
        found = self._changed(
            "delete_item", _LIVING, Key={"id": key}, ReturnValues="ALL_OLD"
        )
        return self.decoded(_data(found.get("Attributes"))) if found else None

    def pop(self, key: str) -> Entry | None:
        return self.take(key)

    def _get(self, key: str) -> dict[str, t.Any] | None:
        if not key:
            return None
        found = self._client.get_item(
            TableName=self._table, Key={"id": key}, ConsistentRead=True
        )
        item: dict[str, t.Any] | None = found.get("Item")
        # Of another type, it is somebody else's item.
        end = item.get("expiration") if item is not None else None
        return item if isinstance(end, Decimal) and end > time() else None

    def _put(self, key: str, value: Entry, lifetime: timedelta, condition: str) -> bool:
        data = self.interface.serializer.encode(value)
        if len(data) + len(key) > _LIMIT - 64:
            raise TooLarge(
                f"{len(data) >> 10} KB are too much for DynamoDB: keep less in the "
                "session, or lower MSAL_REPLAY_LIMIT."
            )
        item = {"id": key, "val": data, "expiration": _moment(lifetime)}
        return self._changed("put_item", condition, Item=item) is not None

    def _changed(
        self,
        operation: str,
        condition: str,
        values: dict[str, t.Any] | None = None,
        **options: t.Any,
    ) -> dict[str, t.Any] | None:
        """Return the answer, or ``None`` if the condition does not hold."""
        from botocore.exceptions import ClientError

        if condition:
            values = {**(values or {}), ":now": _moment(timedelta())}
            options["ConditionExpression"] = condition
            options["ExpressionAttributeValues"] = values
        try:
            answer = getattr(self._client, operation)(TableName=self._table, **options)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return None
        return t.cast(dict[str, t.Any], answer)


def _moment(lifetime: timedelta) -> Decimal:
    """Return when a lifetime ends that begins now, in whole epoch seconds."""
    return Decimal(math.ceil(time() + lifetime.total_seconds()))


def _data(item: dict[str, t.Any] | None) -> bytes | None:
    """Return what is in an item; boto3 wraps bytes."""
    data = getattr((item or {}).get("val"), "value", None)
    return data if isinstance(data, bytes) else None
